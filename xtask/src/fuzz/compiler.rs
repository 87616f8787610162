//! The compiler of the targets: rustc, but cryptography is built without instrumentation. Counted and traced, its field
//! arithmetic takes nine tenths of a run, and its edges say nothing about our code.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

/// Set where cargo calls this program in place of rustc.
pub const VARIABLE: &str = "R1_FUZZ_RUSTC";
/// Crates that are built without instrumentation.
const PLAIN: [&str; 8] = [
    "k256",
    "ecdsa",
    "elliptic_curve",
    "crypto_bigint",
    "subtle",
    "keccak",
    "sha2",
    "sha3",
];

/// Becomes rustc if cargo called this program in its place; `None` if it was called for itself.
pub fn stand_in() -> Option<ExitCode> {
    env::var_os(VARIABLE)?;
    let mut arguments = env::args_os().skip(1);
    let rustc = arguments.next()?;
    let arguments = chosen(arguments.collect());
    let error = Command::new(&rustc).args(arguments).exec();
    eprintln!("{}: {error}", rustc.display());
    Some(ExitCode::FAILURE)
}

/// The arguments, for plain crates without those of the instrumentation.
fn chosen(arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments
        .windows(2)
        .find(|pair| pair[0] == "--crate-name")
        .and_then(|pair| pair[1].to_str());
    if !name.is_some_and(|name| PLAIN.contains(&name)) {
        return arguments;
    }
    let instruments = |argument: &OsStr| {
        let text = argument.to_string_lossy();
        text.starts_with("-Cpasses=sancov") || text.starts_with("-Cllvm-args=-sanitizer-coverage")
    };
    let kept = arguments.into_iter().filter(|argument| !instruments(argument));
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cryptography_is_not_instrumented_and_our_code_is() {
        let arguments = |name: &str| {
            let words = ["--crate-name", name, "-Copt-level=3"].map(OsString::from);
            let flags = super::super::RUSTFLAGS.split_whitespace().map(OsString::from);
            words.into_iter().chain(flags).collect::<Vec<_>>()
        };
        let ours = arguments("r1_economy");
        assert_eq!(chosen(ours.clone()), ours);
        let plain = chosen(arguments("k256"));
        assert!(plain.contains(&OsString::from("-Copt-level=3")));
        assert!(plain.contains(&OsString::from("fuzzing")));
        let left = plain.iter().map(|argument| argument.to_string_lossy());
        assert_eq!(left.filter(|text| text.contains("cov")).count(), 0);
    }
}
