//! The command line of `r1ctl r1fs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with files.
#[derive(Debug, Subcommand)]
pub enum R1fsAction {
    /// Add a file, sealed with a secret; `-` is standard input; a folder is added plain
    #[command(after_help = "Examples:\n  \
        r1ctl r1fs add model.bin --secret-file key\n  \
        tar c data | r1ctl r1fs add - --name data.tar\n  \
        r1ctl r1fs add site/ --plain")]
    Add(AddArgs),
    /// Get a file: to its own name, to a file, or to standard output with `-o -`
    #[command(after_help = "Examples:\n  \
        r1ctl r1fs get QmT78z... --secret-file key\n  \
        r1ctl r1fs get QmT78z... --plain --path a/b.txt -o -")]
    Get(GetArgs),
    /// What is pinned here, or the entries of a directory
    #[command(after_help = "Examples:\n  r1ctl r1fs ls\n  r1ctl r1fs ls QmT78z.../images --json")]
    Ls {
        /// CID, and a path below it; pins if left out
        cid: Option<String>,
    },
    /// What an object is, what keeps it, and how many copies there are
    #[command(after_help = "Example:\n  r1ctl r1fs stat QmT78z...")]
    Stat {
        /// CID
        cid: String,
    },
    /// Keep an object here, fetching it if needed
    #[command(after_help = "Examples:\n  r1ctl r1fs pin QmT78z...\n  r1ctl r1fs pin QmT78z... --days 30")]
    Pin {
        /// CID
        cid: String,
        /// For how long; for good if left out
        #[arg(long)]
        days: Option<u64>,
    },
    /// Let an object go, here and, if this node added it, everywhere
    #[command(after_help = "Examples:\n  r1ctl r1fs rm QmT78z...\n  r1ctl r1fs rm QmT78z... --keep-remote")]
    Rm {
        /// CIDs
        #[arg(required = true)]
        cids: Vec<String>,
        /// Leave the copies on other nodes
        #[arg(long)]
        keep_remote: bool,
    },
    /// Collect garbage now
    #[command(after_help = "Examples:\n  r1ctl r1fs gc\n  r1ctl r1fs gc --grace 0")]
    Gc {
        /// Seconds for which nothing referred to what is removed; the node's setting if left out
        #[arg(long)]
        grace: Option<u64>,
    },
    /// Look at every block; damaged and missing ones are fetched again
    #[command(after_help = "Example:\n  r1ctl r1fs verify --json | jq .damaged")]
    Verify {
        /// Only report
        #[arg(long)]
        no_heal: bool,
    },
    /// Import a CAR archive and pin its roots
    #[command(after_help = "Example:\n  r1ctl r1fs import backup.car")]
    Import {
        /// The archive; `-` is standard input
        file: PathBuf,
    },
    /// Export an object and all below it as a CAR archive
    #[command(after_help = "Example:\n  r1ctl r1fs export QmT78z... -o backup.car")]
    Export {
        /// CID
        cid: String,
        /// Where to; `-` is standard output
        #[arg(short, long)]
        output: PathBuf,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },
    /// This node's files: peers, members, bytes, what is being repaired
    #[command(after_help = "Example:\n  r1ctl r1fs status")]
    Status,
    /// Connect to an IPFS peer
    #[command(after_help = "Example:\n  r1ctl r1fs connect /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo...")]
    Connect {
        /// Its multiaddress
        address: String,
    },
}

/// The secret of a sealed object.
#[derive(Debug, Args)]
pub struct SecretArgs {
    /// The secret; others on this machine can see it in the list of processes, so prefer --secret-file
    #[arg(
        long,
        env = "R1_R1FS_SECRET",
        hide_env_values = true,
        conflicts_with = "secret_file"
    )]
    pub secret: Option<String>,
    /// File whose first line is the secret
    #[arg(long)]
    pub secret_file: Option<PathBuf>,
}

/// `r1ctl r1fs add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What to add
    pub path: PathBuf,
    /// Name inside the object; the file's own if left out
    #[arg(long)]
    pub name: Option<String>,
    /// Number that makes the object reproducible
    #[arg(long)]
    pub nonce: Option<i64>,
    /// Do not seal: whoever has the CID can read it
    #[arg(long)]
    pub plain: bool,
    /// Its secret
    #[command(flatten)]
    pub secret: SecretArgs,
}

/// `r1ctl r1fs get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// CID
    pub cid: String,
    /// Path below a directory
    #[arg(long, default_value = "")]
    pub path: String,
    /// Where to; `-` is standard output; the object's own name if left out
    #[arg(short, long)]
    pub output: Option<PathBuf>,
    /// The object is not sealed
    #[arg(long)]
    pub plain: bool,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
    /// Its secret
    #[command(flatten)]
    pub secret: SecretArgs,
}
