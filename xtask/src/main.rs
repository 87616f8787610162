//! Project tasks: `cargo xtask up | test | ebpf | bench | fuzz`. Depends on little, so that it builds in seconds.

mod bench;
mod ebpf;
mod fuzz;
mod interrupt;
mod options;
mod packages;
mod programs;
mod test;
mod up;

use std::process::ExitCode;

const HELP: &str = "\
Project tasks of r1-agent.

  cargo xtask up      start a local network: measured, agreed upon and paid (Ctrl-C ends it)
  cargo xtask test    check everything that is promised
  cargo xtask ebpf    rebuild the BPF object in ebpf/prebuilt (--check: prove it equal to its sources)
  cargo xtask bench   probe | start | idle | economy | all: figures beside a peer's, in one run
  cargo xtask fuzz    <target>: random inputs, led by the code they reach, until one fails

Examples:
  cargo xtask up                                 4 oracles, 2 workers, epochs of 60 s
  cargo xtask up --oracles 1 --nodes 0 --once    one full epoch of the smallest network, then stop
  cargo xtask up --once --json > run.json        the same for programs
  cargo xtask test --full                        with the slower lanes
  cargo xtask bench start --json

`cargo xtask <task> --help` shows a task's options.";

fn main() -> ExitCode {
    if let Some(done) = fuzz::compiler::stand_in() {
        return done;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    let result = match task {
        "up" => up::run(rest),
        "test" => test::run(rest),
        "ebpf" => ebpf::run(rest).map(|()| ExitCode::SUCCESS),
        "bench" => bench::run(rest),
        "fuzz" => fuzz::run(rest),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("there is no task {other:?}; see cargo xtask help")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask {task}: {error}");
        ExitCode::FAILURE
    })
}
