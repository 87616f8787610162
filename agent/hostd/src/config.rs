//! The command line of r1-hostd.

use std::path::PathBuf;

use clap::Parser;

/// Shown under `--help`.
const EXAMPLES: &str = "Examples:
  r1-hostd                                   the defaults of an installed node (as root)
  r1-hostd --allow-uid \"$(id -u r1)\"         r1d runs as user r1
  r1-hostd --state /tmp/n1/hostd --run /tmp/n1/run --cgroup /r1/n1 --runc target/debug/r1-runc \\
           --stop-containers-on-exit         one node of a network on this machine

Containers need root, control groups and namespaces; without them r1-hostd still answers and says what is
missing (Facts). SIGTERM ends r1-hostd and leaves the containers running; the next start adopts them.";

/// What r1-hostd is told when it starts.
#[derive(Debug, Clone, Parser)]
#[command(name = "r1-hostd", version, about = "The privileged host daemon of a Ratio1 node", after_help = EXAMPLES)]
pub struct Config {
    /// Folder for what must survive a reboot: images and records of containers
    #[arg(long, value_name = "DIR", default_value = "/var/lib/r1/hostd")]
    pub state: PathBuf,
    /// Folder for the socket and the live containers
    #[arg(long, value_name = "DIR", default_value = "/run/r1")]
    pub run: PathBuf,
    /// Control group under which each container gets its own
    #[arg(long, value_name = "PATH", default_value = "/r1/containers")]
    pub cgroup: String,
    /// The container runtime
    #[arg(long, value_name = "PATH", default_value = "/usr/libexec/r1/r1-runc")]
    pub runc: PathBuf,
    /// User that may connect besides root and the own user; repeat for more. The socket's group becomes the
    /// group of the first
    #[arg(long = "allow-uid", value_name = "UID")]
    pub allow_uids: Vec<u32>,
    /// Most containers at a time
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_containers: usize,
    /// Most records kept of containers that ended; the oldest are dropped
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_records: usize,
    /// Most bytes of log kept per container
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20)]
    pub log_max_bytes: u64,
    /// Use no kernel probes: evidence comes from clocks, use from control groups
    #[arg(long)]
    pub without_bpf: bool,
    /// End and clean up all containers on SIGTERM, instead of leaving them to the next start
    #[arg(long)]
    pub stop_containers_on_exit: bool,
}

impl Config {
    /// `<run>/host.sock`.
    pub fn socket(&self) -> PathBuf {
        self.run.join(r1_host_api::SOCKET_NAME)
    }

    /// `<run>/c`, one folder per live container.
    pub fn live(&self) -> PathBuf {
        self.run.join("c")
    }

    /// `<state>/images`, one folder per root file system.
    pub fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    /// `<state>/containers`, records of what ended.
    pub fn records(&self) -> PathBuf {
        self.state.join("containers")
    }
}
