//! The configuration file, `r1d.toml`.
//!
//! Every key has a documented default or is required; unknown keys are refused, so that a typing error is not a
//! silently ignored limit.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use r1_core::{Genesis, GenesisError};
use serde::{Deserialize, Serialize};

/// Longest configuration or genesis file that is read.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Longest alias (upstream's limit).
pub const MAX_ALIAS_CHARS: usize = 15;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is too long to be what it should be.
    #[error("{path}: {bytes} bytes, at most {MAX_FILE_BYTES} are read")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The configuration does not parse.
    #[error("{path}: {source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The genesis does not parse.
    #[error("{path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The genesis parses and contradicts itself.
    #[error("{path}: {source}")]
    Genesis {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: GenesisError,
    },
    /// A value is out of its range.
    #[error("{path}: {key}: {why}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// The configuration of one r1d.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The node's name for people, 1 to 15 characters.
    pub alias: String,
    /// The genesis file (JSON), equal on all nodes of the network.
    pub genesis: PathBuf,
    /// The node's private key, PEM PKCS#8, mode 0600; made if it is not there.
    pub key: PathBuf,
    /// What must survive a reboot.
    pub state_dir: PathBuf,
    /// Sockets; may vanish at a reboot.
    pub run_dir: PathBuf,
    /// r1-hostd's socket; `<run_dir>/host.sock` if absent.
    #[serde(default)]
    pub host_socket: Option<PathBuf>,
    /// Multiaddresses on which the swarm listens.
    #[serde(default)]
    pub net_listen: Vec<String>,
    /// Multiaddress on which the consensus engine listens; needed by oracles.
    #[serde(default)]
    pub consensus_listen: Option<String>,
    /// Multiaddresses of peers to dial at start.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// TCP address for `/metrics`; must be a loopback address. Without it metrics are on the control socket only.
    #[serde(default)]
    pub metrics_listen: Option<SocketAddr>,
    /// Link a licence that this node's own key owns to this node.
    #[serde(default)]
    pub auto_link: bool,
    /// Claim after each closed epoch.
    #[serde(default)]
    pub auto_claim: bool,
    /// Files; without this table the node keeps none.
    #[serde(default)]
    pub r1fs: Option<crate::files::Settings>,
}

impl Config {
    /// Reads and checks a configuration file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the file and the key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let mut config: Self = toml::from_str(&text).map_err(|source| ConfigError::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        for part in [
            &mut config.genesis,
            &mut config.key,
            &mut config.state_dir,
            &mut config.run_dir,
        ] {
            *part = base.join(&*part);
        }
        config.host_socket = config.host_socket.map(|socket| base.join(socket));
        if let Some(key) = config.r1fs.as_mut().and_then(|r1fs| r1fs.swarm_key.as_mut()) {
            *key = base.join(&*key);
        }
        config.check(path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let refuse = |key, why: String| {
            Err(ConfigError::Value {
                path: path.to_owned(),
                key,
                why,
            })
        };
        let length = self.alias.chars().count();
        if length == 0 || length > MAX_ALIAS_CHARS {
            return refuse(
                "alias",
                format!("{length} characters, 1 to {MAX_ALIAS_CHARS} are allowed"),
            );
        }
        if let Some((key, why)) = self.r1fs.as_ref().and_then(crate::files::Settings::fault) {
            return refuse(key, why);
        }
        match self.metrics_listen {
            Some(address) if !address.ip().is_loopback() => refuse(
                "metrics_listen",
                format!(
                    "{address} is not a loopback address; let a reverse proxy with authentication serve it"
                ),
            ),
            _ => Ok(()),
        }
    }

    /// r1-hostd's socket.
    pub fn host_socket(&self) -> PathBuf {
        self.host_socket
            .clone()
            .unwrap_or_else(|| self.run_dir.join("host.sock"))
    }

    /// The control socket, HTTP over a Unix socket.
    pub fn control_socket(&self) -> PathBuf {
        self.run_dir.join("r1d.sock")
    }

    /// Reads and checks the genesis.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the file and the fault.
    pub fn load_genesis(&self) -> Result<Genesis, ConfigError> {
        let path = &self.genesis;
        let genesis: Genesis = serde_json::from_str(&read(path)?).map_err(|source| ConfigError::Json {
            path: path.clone(),
            source,
        })?;
        genesis.validate().map_err(|source| ConfigError::Genesis {
            path: path.clone(),
            source,
        })?;
        Ok(genesis)
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(ConfigError::TooLong {
            path: path.to_owned(),
            bytes,
        });
    }
    fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str =
        "alias = 'a'\ngenesis = 'genesis.json'\nkey = 'key.pem'\nstate_dir = 'state'\nrun_dir = '/run/r1'\n";

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r1d.toml");
        fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = load(SMALLEST).unwrap();
        assert!(config.key.ends_with("key.pem") && config.key.is_absolute());
        assert_eq!(config.host_socket(), Path::new("/run/r1/host.sock"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = load(&format!("{SMALLEST}metrics_lsiten = '127.0.0.1:1'\n"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("metrics_lsiten") && error.contains("r1d.toml"),
            "{error}"
        );
        let error = load(&format!("{SMALLEST}metrics_listen = '0.0.0.0:9100'\n"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("metrics_listen") && error.contains("loopback"),
            "{error}"
        );
        let error = load(&SMALLEST.replace("'a'", "'a name far too long'"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("alias"), "{error}");
    }
}
