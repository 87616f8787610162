//! What a program in the default sandbox sees and may do.

use serde_json::json;

use crate::support::{finish, fixture};

#[test]
fn exit_code_output_and_environment() {
    let Some(f) = fixture("exit-code") else { return };
    let outcome = f.run("echo \"$GREETING\"; echo oops >&2; exit 7");
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (7, "hello world\n"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stderr, "oops\n");
    f.assert_no_cgroup();
}

#[test]
fn root_is_read_only_and_tmp_is_not() {
    let Some(f) = fixture("ro-root") else { return };
    let outcome = f.run("touch /x; touch /bin/x; touch /tmp/x /run/x /dev/shm/x && echo written");
    assert_eq!(outcome.stdout, "written\n");
    assert_eq!(
        outcome.stderr.matches("Read-only file system").count(),
        2,
        "{}",
        outcome.stderr
    );
}

#[test]
fn masked_and_read_only_paths() {
    let Some(f) = fixture("masked") else { return };
    let outcome = f.run(
        "cat /proc/keys /proc/timer_list; ls /sys/firmware /proc/acpi 2>/dev/null | grep -v :; \
         echo 1 > /proc/sys/kernel/hostname; echo end",
    );
    assert_eq!(outcome.stdout.trim(), "end", "{outcome:?}");
    assert!(
        outcome
            .stderr
            .contains("/proc/sys/kernel/hostname: Read-only file system"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn no_capabilities_no_new_privileges_no_leftover_signals() {
    let Some(f) = fixture("caps") else { return };
    // No shell in between: it has signal habits of its own.
    let mut request = f.request("");
    request["command"] = json!(["cat", "/proc/self/status"]);
    let outcome = f.run_request(&request);
    let field = |name: &str| {
        let line = outcome.stdout.lines().find_map(|l| l.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    // The supervisor blocks all signals and ignores SIGPIPE; a program must not inherit that.
    assert_eq!(field("SigBlk:"), "0000000000000000");
    assert_eq!(field("SigIgn:"), "0000000000000000");
}

#[test]
fn namespaces_of_its_own() {
    let Some(f) = fixture("namespaces") else { return };
    let outcome = f
        .run("echo $$; hostname; cat /proc/self/uid_map; ls /sys/class/net; ls /proc/self/fd | wc -l; id -u");
    let lines: Vec<&str> = outcome.stdout.lines().map(str::trim).collect();
    assert_eq!(lines[0], "1", "{outcome:?}");
    assert_eq!(lines[1], "box");
    assert_eq!(
        lines[2].split_ascii_whitespace().collect::<Vec<_>>(),
        ["0", "100000", "65536"]
    );
    assert_eq!(lines[3], "lo");
    // 0, 1, 2 and the one that ls reads the folder with.
    assert_eq!(lines[4], "4");
    assert_eq!(lines[5], "0");
}

#[test]
fn files_of_the_root_belong_to_root_inside() {
    let Some(f) = fixture("idmap") else { return };
    let outcome = f.run("stat -c '%u %g' /bin/busybox; touch /tmp/mine; stat -c %u /tmp/mine");
    assert_eq!(outcome.stdout, "0 0\n0\n", "{}", outcome.stderr);
}

#[test]
fn system_calls_are_filtered() {
    let Some(f) = fixture("seccomp") else { return };
    let outcome = f.run(
        "mount -t tmpfs none /tmp; echo mount $?; unshare -n true; echo unshare $?; hostname other; echo name $?; \
         chroot /tmp true; ip link add v0 type veth; echo link $?",
    );
    for refused in ["mount 1", "unshare 1", "name 1"] {
        assert!(outcome.stdout.contains(refused), "{outcome:?}");
    }
    assert!(!outcome.stdout.contains("link 0"), "{outcome:?}");
    assert!(
        outcome.stderr.contains("Operation not permitted"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn output_can_be_opened_anew() {
    let Some(f) = fixture("dev-stdout") else { return };
    let outcome =
        f.run("echo ok; ls -l /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty | wc -l");
    assert_eq!(outcome.stdout, "ok\n6\n", "{}", outcome.stderr);
}

#[test]
fn a_bad_request_is_refused_in_one_line() {
    let Some(f) = fixture("bad-request") else { return };
    let file = f.path("bad.json");
    let mut request = f.request("true");
    request["uid_base"] = json!(0);
    std::fs::write(&file, request.to_string()).unwrap();
    let args = [
        "spec",
        "--rootfs",
        "/nowhere",
        "--json-request",
        file.to_str().unwrap(),
    ];
    let outcome = f.oci(&args);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.contains("uid_base") && outcome.stderr.lines().count() == 1,
        "{}",
        outcome.stderr
    );
}

#[test]
fn it_can_talk_to_itself() {
    let Some(f) = fixture("loopback") else { return };
    let outcome = f.run(
        "nc -l -p 8080 -e cat & n=0; \
         until echo hello | nc 127.0.0.1 8080; do n=$((n+1)); [ $n -lt 500 ] || exit 9; sleep 0.01; done; \
         ip route | wc -l",
    );
    assert_eq!(outcome.stdout, "hello\n0\n", "{outcome:?}");
}

#[test]
fn a_file_system_without_id_mapped_mounts_will_do() {
    let Some(f) = fixture("overlay") else { return };
    for name in ["dev", "proc", "run", "sys", "tmp"] {
        std::fs::create_dir(f.path("rootfs").join(name)).unwrap();
    }
    for name in ["upper", "work", "merged", "state"] {
        std::fs::create_dir(f.path(name)).unwrap();
    }
    let bundle = f.bundle("bundle", &f.request("stat -c %U /bin; touch /tmp/x && touch /x"));
    let file = bundle.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["root"]["path"] = json!(f.path("merged"));
    std::fs::write(&file, config.to_string()).unwrap();
    let script = "cd $1 && mount -t overlay overlay -o lowerdir=rootfs,upperdir=upper,workdir=work merged && \
                  exec $2 --root state run --bundle bundle c";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    command
        .arg(f.dir.path())
        .arg(env!("CARGO_BIN_EXE_r1-runc"))
        .stdin(std::process::Stdio::null());
    let outcome = finish(command, &f.path("overlay"));
    assert!(
        outcome.stderr.contains("/x: Read-only file system"),
        "{outcome:?}"
    );
    // As soon as a kernel maps overlayfs too, the owner is root.
    assert!(
        ["nobody\n", "root\n", "UNKNOWN\n"].contains(&outcome.stdout.as_str()),
        "{outcome:?}"
    );
}
