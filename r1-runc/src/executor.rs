//! The last steps before the container's program runs.

use std::env;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{AccessFlags, access, execv};
use oci_spec::runtime::Spec;

/// Searched when the container's environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Signals of the kernel.
const KERNEL_SIGNALS: i32 = 64;
/// As a shell: found but not executable.
const EXIT_NOT_EXECUTABLE: i32 = 126;
/// As a shell: not found.
const EXIT_NOT_FOUND: i32 = 127;

/// Executes the program with the signal state that a program expects.
#[derive(Clone)]
pub struct Program;

impl Executor for Program {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let Some(name) = arguments(spec).and_then(|args| args.first()) else {
            return Err(ExecutorValidationError::ArgValidationError(
                "no program is named".to_owned(),
            ));
        };
        let path = spec
            .process()
            .as_ref()
            .and_then(|p| p.env().as_ref())
            .and_then(|env| env.iter().find_map(|e| e.strip_prefix("PATH=")))
            .unwrap_or(DEFAULT_PATH);
        find(name, path).map(|_| ()).map_err(|errno| {
            let why = if errno == Errno::ENOENT {
                "not found in $PATH"
            } else {
                "not executable"
            };
            ExecutorValidationError::ArgValidationError(format!("executable '{name}' {why}"))
        })
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let args = arguments(spec).ok_or(ExecutorError::InvalidArg)?;
        let path = env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
        let name = args.first().ok_or(ExecutorError::InvalidArg)?;
        // The supervisor blocks every signal, Rust ignores SIGPIPE, a shell in the background SIGINT: all inherited.
        default_dispositions();
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
        let errno = match (find(name, &path), c_strings(args)) {
            (Ok(file), Some(argv)) => match CString::new(file.as_os_str().as_bytes()) {
                Ok(file) => match execv(&file, &argv) {
                    Err(errno) => errno,
                    Ok(never) => match never {},
                },
                Err(_) => Errno::EINVAL,
            },
            (Err(errno), _) => errno,
            (_, None) => Errno::EINVAL,
        };
        // Nobody listens on the creation channel any more: the container's own stderr is the place.
        eprintln!("r1-runc: cannot execute '{name}': {}", errno.desc());
        let code = if errno == Errno::ENOENT {
            EXIT_NOT_FOUND
        } else {
            EXIT_NOT_EXECUTABLE
        };
        // SAFETY: ends this process without running the exit handlers of the supervisor's copied memory.
        unsafe { libc::_exit(code) }
    }
}

/// Gives every signal its default disposition, also the two that libc keeps for itself.
fn default_dispositions() {
    // The kernel's struct sigaction in zeroes (SIG_DFL, no flags, no mask); no architecture's is longer.
    let default = [0u64; 8];
    for number in 1..=KERNEL_SIGNALS {
        // SAFETY: reads a struct that outlives the call; SIGKILL and SIGSTOP are refused by the kernel.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                KERNEL_SIGNALS as usize / 8,
            )
        };
    }
}

fn arguments(spec: &Spec) -> Option<&Vec<String>> {
    spec.process().as_ref()?.args().as_ref()
}

fn c_strings(args: &[String]) -> Option<Vec<CString>> {
    args.iter().map(|a| CString::new(a.as_bytes()).ok()).collect()
}

/// The file that `name` means, as execvp(3) searches it.
fn find(name: &str, path: &str) -> Result<PathBuf, Errno> {
    if name.contains('/') {
        return usable(Path::new(name)).map(|()| PathBuf::from(name));
    }
    let mut worst = Errno::ENOENT;
    for folder in path.split(':') {
        let file = Path::new(if folder.is_empty() { "." } else { folder }).join(name);
        match usable(&file) {
            Ok(()) => return Ok(file),
            Err(Errno::EACCES) => worst = Errno::EACCES,
            Err(_) => {}
        }
    }
    Err(worst)
}

fn usable(file: &Path) -> Result<(), Errno> {
    access(file, AccessFlags::X_OK)?;
    if file.is_dir() { Err(Errno::EACCES) } else { Ok(()) }
}
