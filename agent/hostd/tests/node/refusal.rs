//! What is refused, and in which words.

use std::{
    fs,
    io::Read as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Stdio},
};

use nix::mount::{MsFlags, mount, umount};
use r1_host_api::{HostClient, HostError, INTERFACE, OBJECT_PATH};

use crate::harness::{Node, no_containers, request, skip, wait_for, wait_over};

/// A user that owns nothing here.
const NOBODY: u32 = 65_534;

/// What a daemon that must not start says, and that it ends with an error.
fn refusal_of(mut command: Command) -> String {
    let mut daemon = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    daemon.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!daemon.wait().unwrap().success(), "{said}");
    said
}

#[tokio::test]
async fn an_invalid_request_is_refused_by_the_daemon_too_and_names_its_field() {
    let (node, client) = Node::start().await;
    drop(client);
    // Past the client, whose own check would answer first.
    let stream = tokio::net::UnixStream::connect(node.socket()).await.unwrap();
    let raw = zbus::connection::Builder::unix_stream(stream)
        .p2p()
        .build()
        .await
        .unwrap();
    let good = r#""image":"busybox","command":["true"],"cpu":0.5,"memory_bytes":67108864,"pids":8"#;
    for (json, field) in [
        ("{".to_owned(), "request"),
        (format!(r#"{{{good},"privileged":true}}"#), "privileged"),
        (format!(r#"{{{good},"id":"../x"}}"#), "id"),
        (
            good_with(good, r#""image":"busybox""#, r#""image":"../../etc""#),
            "image",
        ),
        (good_with(good, r#"["true"]"#, "[]"), "command"),
        (good_with(good, r#""cpu":0.5"#, r#""cpu":-1"#), "cpu"),
        (good_with(good, r#""cpu":0.5"#, r#""cpu":1000"#), "cpu"),
        (good_with(good, "67108864", "1"), "memory_bytes"),
        (good_with(good, "67108864", "9007199254740992"), "memory_bytes"),
        (good_with(good, r#""pids":8"#, r#""pids":0"#), "pids"),
        (format!(r#"{{{good},"env":{{"A=B":"c"}}}}"#), "env"),
        (format!(r#"{{{good},"hostname":"a b"}}"#), "hostname"),
    ] {
        let call = raw
            .call_method(None::<&str>, OBJECT_PATH, Some(INTERFACE), "Run", &json.as_str())
            .await;
        let Err(zbus::Error::MethodError(name, text, _)) = call else {
            panic!("{json}: {call:?}")
        };
        assert_eq!(name.as_str(), "org.ratio1.Host1.Error.InvalidRequest", "{json}");
        assert!(text.as_ref().unwrap().contains(field), "{json}: {text:?}");
    }
    for id in ["..", "", "a/b"] {
        let call = raw
            .call_method(None::<&str>, OBJECT_PATH, Some(INTERFACE), "Remove", &id)
            .await;
        assert!(call.is_err(), "{id:?}");
    }
    let client = HostClient::connect(&node.socket()).await.unwrap();
    let text = client.metrics().await.unwrap();
    assert!(
        text.contains("r1_host_requests_refused_total{reason=\"invalid_request\"} 15"),
        "{text}"
    );
    assert_eq!(fs::read_dir(node.run().join("c")).unwrap().count(), 0);
}

fn good_with(good: &str, part: &str, other: &str) -> String {
    assert!(good.contains(part), "{part}");
    format!("{{{}}}", good.replace(part, other))
}

#[tokio::test]
async fn an_image_that_is_not_installed_or_a_link_is_refused() {
    if let Some(why) = no_containers() {
        return skip("an_image_that_is_not_installed_or_a_link_is_refused", why);
    }
    let (node, client) = Node::start().await;
    std::os::unix::fs::symlink("/", node.state().join("images/link")).unwrap();
    fs::create_dir(node.state().join("images/half")).unwrap();
    std::os::unix::fs::symlink("/", node.state().join("images/half/rootfs")).unwrap();
    for image in ["missing", "link", "half"] {
        let mut wanted = request("a", "true");
        wanted.image = image.into();
        let error = client.run(&wanted).await.unwrap_err();
        assert!(
            matches!(&error, HostError::NotFound { message, remedy }
            if message.contains(image) && remedy.contains("rootfs")),
            "{error:?}"
        );
    }
    assert_eq!(client.list().await.unwrap(), []);
}

#[tokio::test]
async fn a_program_that_is_not_in_the_image_fails_and_leaves_nothing() {
    if let Some(why) = no_containers() {
        return skip("a_program_that_is_not_in_the_image_fails_and_leaves_nothing", why);
    }
    let (node, client) = Node::start().await;
    let mut wanted = request("a", "");
    wanted.command = vec!["/bin/nothing-here".into()];
    match client.run(&wanted).await {
        Err(error) => assert!(error.to_string().contains("\"a\""), "{error}"),
        Ok(id) => {
            let info = wait_over(&client, &id).await;
            assert!(info.exit_code.is_some_and(|code| code != 0), "{info:?}");
        }
    }
    node.assert_gone("a");
}

#[tokio::test]
async fn a_foreign_user_is_refused_and_an_allowed_one_is_not() {
    if !nix::unistd::geteuid().is_root() {
        return skip(
            "a_foreign_user_is_refused_and_an_allowed_one_is_not",
            "needs root to become another user",
        );
    }
    let (mut node, client) = Node::start().await;
    // Let the file's mode admit everybody, so that only the daemon's own check is left.
    fs::set_permissions(node.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(!answers_nobody(&node), "a foreign user was answered");
    let text = client.metrics().await.unwrap();
    assert!(text.contains("r1_host_peers_refused_total 1"), "{text}");
    node.end(nix::sys::signal::Signal::SIGTERM);
    let mut command = node.command();
    command.arg("--allow-uid").arg(NOBODY.to_string());
    let mut daemon = command.spawn().unwrap();
    drop(node.connect().await);
    assert!(answers_nobody(&node), "an allowed user was not answered");
    assert_eq!(
        fs::metadata(node.socket()).unwrap().permissions().mode() & 0o777,
        0o660
    );
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// True if the daemon speaks to user nobody: a D-Bus server answers the start of a handshake, and a connection
/// that is refused ends without a byte.
fn answers_nobody(node: &Node) -> bool {
    let script = "import socket,sys\n\
        s=socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])\n\
        try:\n\
        \x20 s.sendall(b'\\0AUTH EXTERNAL '+str(65534).encode().hex().encode()+b'\\r\\n')\n\
        \x20 sys.exit(0 if s.recv(64).startswith(b'OK') else 3)\n\
        except ConnectionError: sys.exit(3)";
    let mut command = Command::new("python3");
    command
        .arg("-c")
        .arg(script)
        .arg(node.socket())
        .uid(NOBODY)
        .gid(NOBODY);
    let status = command.status().unwrap();
    assert!(matches!(status.code(), Some(0 | 3)), "{status}");
    status.code() == Some(0)
}

#[tokio::test]
async fn a_second_instance_is_refused_by_name() {
    let (node, client) = Node::start().await;
    let said = refusal_of(node.command());
    assert!(
        said.contains("another r1-hostd") && said.contains("state/lock"),
        "{said}"
    );
    let other = Node::prepare();
    let mut command = other.command();
    command.arg("--run").arg(node.run());
    let mut with_other_state = Command::new(env!("CARGO_BIN_EXE_r1-hostd"));
    with_other_state
        .arg("--state")
        .arg(other.state())
        .arg("--run")
        .arg(node.run());
    let said = refusal_of(with_other_state);
    assert!(
        said.contains("another r1-hostd") && said.contains("hostd.lock"),
        "{said}"
    );
    client.version().await.unwrap();
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_written_is_refused_by_name() {
    if !nix::unistd::geteuid().is_root() {
        return skip(
            "a_state_folder_that_cannot_be_written_is_refused_by_name",
            "needs root to become another user",
        );
    }
    let node = Node::prepare();
    fs::create_dir_all(node.run()).unwrap();
    let said = refusal_of(node.command_as(NOBODY));
    assert!(
        said.contains(&node.state().display().to_string()) && said.contains("ermission"),
        "{said}"
    );
    assert!(said.contains("remedy"), "{said}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_r1-hostd"));
    command
        .arg("--state")
        .arg("/proc/nothing")
        .arg("--run")
        .arg(node.run());
    assert!(refusal_of(command).contains("/proc/nothing"));
}

#[tokio::test]
async fn an_ordinary_user_gets_facts_and_a_reasoned_no() {
    if !nix::unistd::geteuid().is_root() {
        return skip(
            "an_ordinary_user_gets_facts_and_a_reasoned_no",
            "needs root to become another user",
        );
    }
    let mut node = Node::prepare();
    for folder in [node.run(), node.state(), node.state().join("images")] {
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut daemon = node.command_as(NOBODY).spawn().unwrap();
    let client = node.connect().await;
    let error = client.run(&request("a", "true")).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Unsupported { message, remedy }
        if message.contains("65534") && remedy.contains("root")),
        "{error:?}"
    );
    let facts = client.facts().await.unwrap();
    assert!(
        facts
            .degraded
            .iter()
            .any(|degraded| degraded.what == "containers"),
        "{facts:?}"
    );
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[tokio::test]
async fn a_full_disk_is_refused_by_name_and_leaves_nothing_half_written() {
    if let Some(why) = no_containers() {
        return skip(
            "a_full_disk_is_refused_by_name_and_leaves_nothing_half_written",
            why,
        );
    }
    let mut node = Node::prepare();
    let records = node.state().join("containers");
    fs::create_dir_all(&records).unwrap();
    mount(
        Some("tmpfs"),
        &records,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("size=64k"),
    )
    .unwrap();
    let client = node.restart().await;
    // Its end must be stored although the disk is full by then; free space comes later.
    client
        .run(&request("early", "while ! [ -e /tmp/x ]; do sleep 0.1; done"))
        .await
        .unwrap();
    let mut filled = fs::write(records.join("filler"), vec![0u8; 40 << 10]);
    let mut size = 0;
    while filled.is_ok() {
        size += 1;
        filled = fs::write(records.join(format!("filler{size}")), [0u8; 4096]);
    }
    let error = client.run(&request("late", "true")).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Storage { message, remedy }
        if message.contains("containers") && message.contains("No space") && remedy.contains("free")),
        "{error:?}"
    );
    node.assert_gone("late");
    let stopping = tokio::spawn({
        let client = client.clone();
        async move { client.stop("early", 0).await }
    });
    let over = wait_for(&client, "early", |info| info.exit_code.is_some()).await;
    assert_eq!(over.exit_code, Some(137));
    assert!(
        node.live("early").join("exit.json").exists(),
        "the end was let go before it was stored"
    );
    let names = || {
        fs::read_dir(&records)
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name().into_string().unwrap())
    };
    assert!(
        names().all(|name| name.starts_with("filler")),
        "{:?}",
        names().collect::<Vec<_>>()
    );
    names().for_each(|name| fs::remove_file(records.join(name)).unwrap());
    stopping.await.unwrap().unwrap();
    node.assert_gone("early");
    let mut left: Vec<_> = names().collect();
    left.sort();
    assert_eq!(left, ["early.json", "early.log"]);
    node.end(nix::sys::signal::Signal::SIGTERM);
    umount(&records).unwrap();
}
