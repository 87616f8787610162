//! `cargo xtask ebpf [--check]`: builds the BPF object that r1-hostd embeds, or proves the committed one equal.
//!
//! Only who changes `ebpf/` needs this: the object is in the tree, so that an ordinary build needs no BPF toolchain.
//! The compiler is, in this order: `$R1_BPF_RUSTC`; any `rustc` whose sysroot holds the BPF target (Debian's
//! rustc-web with libstd-rust-web-dev-bpf); a rustup toolchain with rust-src, which builds `core` itself. The linker is
//! `$R1_BPF_LINKER` or `bpf-linker` on the path.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "bpfel-unknown-none";
const PACKAGE: &str = "r1-ebpf-programs";
const BINARY: &str = "r1-bpf";
const OBJECT: &str = "prebuilt/r1.bpf.o";
const SUM: &str = "prebuilt/r1.bpf.o.sha256";
/// What a build reads.
const SOURCES: [&str; 4] = ["Cargo.toml", "Cargo.lock", "common", "programs"];
/// Sections that only debuggers read.
const DROPPED: [&str; 2] = [".BTF.ext", ".rel.BTF.ext"];

const USAGE: &str = "usage: cargo xtask ebpf [--check]

  (nothing)   rebuild ebpf/prebuilt/r1.bpf.o and its sha256
  --check     build in another folder and compare with ebpf/prebuilt/";

/// Runs the task.
///
/// # Errors
/// If the arguments are wrong, the toolchain is missing, the build fails, or `--check` finds a difference.
pub fn run(args: &[String]) -> Result<(), String> {
    let root = workspace_root()?.join("ebpf");
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => rebuild(&root),
        ["--check"] => check(&root),
        ["-h" | "--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn rebuild(root: &Path) -> Result<(), String> {
    let tools = Tools::find()?;
    let target = env::var_os("R1_BPF_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let built = tools.build(root, &target)?;
    let object = root.join(OBJECT);
    tools.strip(&built, &object)?;
    let sum = sha256(&object)?;
    write(&root.join(SUM), &sum_line(&sum))?;
    println!("{}: {} bytes, sha256 {sum}", object.display(), size(&object)?);
    println!("built with {}", tools.describe());
    Ok(())
}

/// Builds a copy of the sources elsewhere, so that equality also proves that no path of this folder got in.
fn check(root: &Path) -> Result<(), String> {
    let committed = sha256(&root.join(OBJECT))?;
    let noted = read(&root.join(SUM))?;
    if noted != sum_line(&committed) {
        return Err(format!(
            "{OBJECT} has sha256 {committed}, but {SUM} says {}",
            noted.trim()
        ));
    }
    let tools = Tools::find()?;
    let folder = env::temp_dir().join(format!("r1-ebpf-check-{}", std::process::id()));
    let outcome = built_elsewhere(&tools, root, &folder);
    fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let rebuilt = outcome?;
    if rebuilt != committed {
        return Err(format!(
            "{OBJECT} has sha256 {committed}, but its sources give {rebuilt} with {}: run `cargo xtask ebpf` and \
             commit the result (other compiler versions give other bytes)",
            tools.describe()
        ));
    }
    println!(
        "{OBJECT} is what its sources give: sha256 {committed}, built with {}",
        tools.describe()
    );
    Ok(())
}

fn built_elsewhere(tools: &Tools, root: &Path, folder: &Path) -> Result<String, String> {
    for name in SOURCES {
        copy(&root.join(name), &folder.join("src").join(name))?;
    }
    let built = tools.build(&folder.join("src"), &folder.join("target"))?;
    let stripped = folder.join("r1.bpf.o");
    tools.strip(&built, &stripped)?;
    sha256(&stripped)
}

/// Programs of the BPF toolchain.
struct Tools {
    rustc: PathBuf,
    linker: PathBuf,
    objcopy: Objcopy,
    /// The compiler brings no `core` for the target: build it.
    build_core: bool,
}

/// Program that strips, with the library folder it needs.
struct Objcopy {
    program: PathBuf,
    libraries: Option<PathBuf>,
}

impl Tools {
    fn find() -> Result<Self, String> {
        let (rustc, build_core) = find_rustc()?;
        let linker = env::var_os("R1_BPF_LINKER").map(PathBuf::from).or_else(|| on_path("bpf-linker")).ok_or(
            "no bpf-linker: `cargo install bpf-linker --version 0.13.0 --locked --no-default-features --features llvm-22` \
             with LLVM_PREFIX set to an LLVM 22, or set R1_BPF_LINKER",
        )?;
        Ok(Self {
            rustc,
            linker,
            objcopy: find_objcopy()?,
            build_core,
        })
    }

    fn describe(&self) -> String {
        output(Command::new(&self.rustc).arg("--version")).unwrap_or_else(|e| e)
    }

    fn build(&self, root: &Path, target: &Path) -> Result<PathBuf, String> {
        let cargo_home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|h| format!("{h}/.cargo")));
        let cargo_home = cargo_home.map_err(|e| format!("CARGO_HOME and HOME: {e}"))?;
        let flags = [
            "-Cdebuginfo=2".to_owned(),
            "-Cpanic=abort".to_owned(),
            "-Clink-arg=--btf".to_owned(),
            // Without these the type information would hold the paths of this machine.
            format!("--remap-path-prefix={}=/r1", root.display()),
            format!("--remap-path-prefix={cargo_home}/registry=/cargo"),
        ];
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(root).args([
            "build",
            "--release",
            "--locked",
            "--package",
            PACKAGE,
            "--target",
            TARGET,
        ]);
        cargo.env("RUSTC", &self.rustc).env("CARGO_TARGET_DIR", target);
        cargo.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        cargo
            .env_remove("RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER");
        // Inline assembly for the BPF target is not stable yet.
        cargo.env(
            "RUSTC_BOOTSTRAP",
            if self.build_core { "1" } else { "aya_ebpf,r1_bpf" },
        );
        if self.build_core {
            cargo.arg("-Zbuild-std=core");
        }
        succeed(&mut cargo)?;
        Ok(target.join(TARGET).join("release").join(BINARY))
    }

    fn strip(&self, from: &Path, to: &Path) -> Result<(), String> {
        let mut objcopy = Command::new(&self.objcopy.program);
        objcopy
            .arg("--strip-debug")
            .args(DROPPED.map(|name| format!("--remove-section={name}")))
            .arg(from)
            .arg(to);
        if let Some(folder) = &self.objcopy.libraries {
            objcopy.env("LD_LIBRARY_PATH", folder);
        }
        succeed(&mut objcopy)
    }
}

fn find_rustc() -> Result<(PathBuf, bool), String> {
    if let Some(rustc) = env::var_os("R1_BPF_RUSTC") {
        return Ok((rustc.into(), false));
    }
    let candidates: Vec<PathBuf> = ["/usr/bin/rustc", "rustc"].map(PathBuf::from).into();
    for rustc in &candidates {
        let libraries = output(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
        if libraries.is_ok_and(|folder| Path::new(&folder).is_dir()) {
            return Ok((rustc.clone(), false));
        }
    }
    for rustc in candidates {
        let Ok(sysroot) = output(Command::new(&rustc).args(["--print", "sysroot"])) else {
            continue;
        };
        if Path::new(&sysroot)
            .join("lib/rustlib/src/rust/library/core")
            .is_dir()
        {
            return Ok((rustc, true));
        }
    }
    Err("no compiler for the BPF target: on Debian `apt install rustc-web libstd-rust-web-dev-bpf`, elsewhere `rustup \
         component add rust-src`, or set R1_BPF_RUSTC"
        .to_owned())
}

/// The one that comes with rustup's compiler, else LLVM's own.
fn find_objcopy() -> Result<Objcopy, String> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"])).unwrap_or_default();
    let host = output(Command::new("rustc").args(["--print", "host-tuple"])).unwrap_or_default();
    let program = Path::new(&sysroot)
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-objcopy");
    if program.is_file() {
        return Ok(Objcopy {
            program,
            libraries: Some(Path::new(&sysroot).join("lib")),
        });
    }
    let found = ["llvm-objcopy", "llvm-objcopy-22", "llvm-objcopy-14"]
        .into_iter()
        .find_map(on_path);
    let program =
        found.ok_or("no rust-objcopy in rustc's sysroot and no llvm-objcopy: install the package llvm")?;
    Ok(Objcopy {
        program,
        libraries: None,
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

fn sha256(file: &Path) -> Result<String, String> {
    let line = output(Command::new("sha256sum").arg(file))?;
    line.split_whitespace()
        .next()
        .map(str::to_owned)
        .ok_or_else(|| format!("sha256sum said nothing of {}", file.display()))
}

fn sum_line(sum: &str) -> String {
    format!("{sum}  r1.bpf.o\n")
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let fail = |e| format!("copy {} to {}: {e}", from.display(), to.display());
    if !from.is_dir() {
        fs::create_dir_all(to.parent().unwrap_or(to)).map_err(fail)?;
        return fs::copy(from, to).map(drop).map_err(fail);
    }
    for entry in fs::read_dir(from).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

fn workspace_root() -> Result<PathBuf, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} has no parent", here.display()))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}

fn size(file: &Path) -> Result<u64, String> {
    fs::metadata(file)
        .map(|m| m.len())
        .map_err(|e| format!("{}: {e}", file.display()))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", command.get_program().display()))
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let out = command.output().map_err(|e| format!("{name}: {e}"))?;
    if !out.status.success() {
        return Err(format!(
            "{name} ended with {}: {}",
            out.status,
            String::from_utf8_lossy(&out.stderr).trim()
        ));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
