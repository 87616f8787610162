//! The calls into libcontainer: create, start and the hooks. Only a process with one thread may come here.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;

use crate::error::{Error, Result, chain, io};
use crate::executor::Program;
use crate::fit::Fitted;
use crate::process_id::ProcessId;

/// Folder below a container's own, for libcontainer's records.
const ENGINE_DIR: &str = "engine";
/// Folder below that, for the configuration as fitted to this host.
const CONFIG_DIR: &str = "bundle";

/// What the container's init gets as its first descriptors; absent ones are inherited.
#[derive(Debug, Default)]
pub struct Stdio {
    /// Standard input.
    pub stdin: Option<OwnedFd>,
    /// Standard output.
    pub stdout: Option<OwnedFd>,
    /// Standard error.
    pub stderr: Option<OwnedFd>,
}

/// One container in libcontainer's terms.
#[derive(Debug, Clone)]
pub struct Engine {
    id: String,
    dir: PathBuf,
}

/// What else `create` may be told.
#[derive(Debug, Default)]
pub struct CreateOptions {
    /// Its first descriptors.
    pub stdio: Stdio,
    /// Where the master of its terminal is sent.
    pub console_socket: Option<PathBuf>,
    /// Further descriptors that it inherits.
    pub preserve_fds: i32,
    /// The caller stays and its terminal, if any, is the container's.
    pub foreground: bool,
}

impl Engine {
    /// The container with this id whose own folder is `dir`.
    pub fn new(id: &str, dir: &Path) -> Engine {
        Engine {
            id: id.to_owned(),
            dir: dir.join(ENGINE_DIR),
        }
    }

    fn failed(&self, error: &dyn std::error::Error) -> Error {
        Error::Container {
            id: self.id.clone(),
            message: chain(error),
        }
    }

    /// Makes the container; its init then waits for [`Engine::start`]. The init becomes a child of this process.
    pub fn create(&self, fitted: &Fitted, options: CreateOptions) -> Result<ProcessId> {
        let bundle = self.dir.join(CONFIG_DIR);
        fs::create_dir_all(&bundle).map_err(io(format!("create {}", bundle.display())))?;
        // Read once, by this process: neither atomic nor synced.
        let file = bundle.join("config.json");
        fs::write(&file, fitted.config.to_string()).map_err(io(format!("write {}", file.display())))?;
        let mut builder = ContainerBuilder::new(self.id.clone(), SyscallType::default())
            .with_root_path(&self.dir)
            .map_err(|e| self.failed(&e))?
            .with_executor(Program)
            .with_console_socket(options.console_socket)
            .with_preserved_fds(options.preserve_fds);
        builder.stdin = options.stdio.stdin;
        builder.stdout = options.stdio.stdout;
        builder.stderr = options.stdio.stderr;
        let container = builder
            .as_init(&bundle)
            .with_systemd(false)
            .with_detach(!options.foreground)
            .build()
            .map_err(|e| self.failed(&e))?;
        let Some(pid) = container.pid() else {
            return Err(Error::Refused(format!(
                "container {}: created without a process",
                self.id
            )));
        };
        let pid = pid.as_raw();
        if fitted.new_network {
            crate::loopback::bring_up(pid)?;
        }
        if let Some(score) = fitted.oom_score_adj {
            // Lowering it needs CAP_SYS_RESOURCE; the container is no worse off without.
            let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string());
        }
        ProcessId::of(pid).map_err(io(format!("container {}: its init", self.id)))
    }

    fn load(&self) -> Result<Container> {
        Container::load(self.dir.join(&self.id)).map_err(|e| self.failed(&e))
    }

    /// Lets the created container's program run.
    pub fn start(&self) -> Result<()> {
        self.load()?.start().map_err(|e| self.failed(&e))
    }

    /// Runs the hooks that follow a container's end and removes libcontainer's records.
    pub fn clean(&self) -> Result<()> {
        if let Ok(container) = self.load()
            && let Ok(config) = container.spec()
            && let Some(hooks) = config.hooks.as_ref()
        {
            // A failing hook must not keep the container's remains (OCI runtime specification, lifecycle).
            let _ = libcontainer::hooks::run_hooks(
                hooks.poststop().as_ref(),
                Some(&container.state),
                None,
                None,
                None,
            );
        }
        match fs::remove_dir_all(&self.dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(io(format!("remove {}", self.dir.display()))(e))
            }
            _ => Ok(()),
        }
    }
}
