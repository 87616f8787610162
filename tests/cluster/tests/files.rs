//! Files over whole nodes: real r1d processes, killed, filled up and repaired.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use nix::mount::{MsFlags, mount, umount};
use r1_cluster_tests::start;
use r1_localnet::{Node, NodeLayout};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);

/// A call of the R1FS HTTP contract. The status, and the body.
fn call(port: u16, request: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let head = format!(
        "{request} HTTP/1.1\r\nhost: node\r\nconnection: close\r\naccept: */*\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer[..answer.len().min(16)]).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(answer.len(), |at| at + 4);
    Ok((status, answer.split_off(end)))
}

fn port(node: &Node) -> u16 {
    node.layout.r1fs_http_port
}

/// Adds a document and returns its CID if the node acknowledged it.
fn add(port: u16, number: usize) -> Option<String> {
    let body = json!({ "data": { "number": number, "text": "x".repeat(number % 3000) }, "fn": "n.json" });
    let (status, answer) = call(port, "POST /add_json", body.to_string().as_bytes()).ok()?;
    let answer: Value = serde_json::from_slice(&answer).ok()?;
    (status == 200)
        .then(|| answer["result"]["cid"].as_str().map(str::to_owned))
        .flatten()
}

/// The number in an object, or what the node said instead.
fn read(port: u16, cid: &str) -> Result<u64, String> {
    let (status, body) =
        call(port, &format!("GET /get_file?cid={cid}"), b"").map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    value["number"]
        .as_u64()
        .ok_or_else(|| format!("{status}: {}", String::from_utf8_lossy(&body)))
}

fn wait_members(node: &Node, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = node.get("/v1/r1fs/status").expect("r1fs status");
        let members = status["members"].as_array().map_or(0, Vec::len);
        if members >= count {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{}: {members} members of {count}",
            node.layout.name
        );
        sleep(Duration::from_millis(100));
    }
}

/// Waits until `count` live nodes hold each object.
fn wait_copies(nodes: &[&Node], acknowledged: &BTreeMap<String, usize>, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let held: Vec<BTreeSet<String>> = nodes.iter().map(|node| pins(node)).collect();
        let short = acknowledged
            .keys()
            .filter(|cid| held.iter().filter(|pins| pins.contains(*cid)).count() < count)
            .count();
        if short == 0 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{short} of {} objects have less than {count} copies",
            acknowledged.len()
        );
        sleep(Duration::from_millis(500));
    }
}

/// CIDs that a node keeps for the network.
fn pins(node: &Node) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page = node
            .get(&format!("/v1/r1fs/pins?limit=1000{after}"))
            .expect("pins");
        for pin in page["pins"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|pin| pin["label"] == "replica")
        {
            all.insert(pin["cid"].as_str().unwrap_or_default().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", next.replace(' ', "%20")),
            None => return all,
        }
    }
}

/// Writes objects through five nodes at once; `halfway` happens while they are at it.
fn write_all(ports: &[u16], objects: usize, halfway: impl FnOnce()) -> BTreeMap<String, usize> {
    let writers: Vec<_> = (0..ports.len())
        .map(|writer| {
            let (port, step) = (ports[writer], ports.len());
            thread::spawn(move || {
                let mine = (writer..objects).step_by(step);
                mine.filter_map(|number| Some((add(port, number)?, number)))
                    .collect::<BTreeMap<_, _>>()
            })
        })
        .collect();
    sleep(Duration::from_secs(1));
    halfway();
    writers
        .into_iter()
        .flat_map(|writer| writer.join().expect("a writer"))
        .collect()
}

/// A small disk below a node's files; false where none may be mounted.
fn small_disk(node: &mut Node) -> bool {
    let folder = node.layout.state().join("r1fs");
    node.r1d.stop(PATIENCE);
    let kind = Some("tmpfs");
    let mounted = mount(kind, &folder, kind, MsFlags::empty(), Some("size=48m"));
    node.start_r1d().expect("started again");
    mounted.is_ok()
}

fn fill(node: &NodeLayout) {
    let mut filler = File::create(node.state().join("r1fs/filler")).expect("a filler");
    let piece = vec![7; 1 << 20];
    while filler.write_all(&piece).is_ok() {}
}

fn read_everywhere(nodes: &[&Node], acknowledged: &BTreeMap<String, usize>, step: usize) {
    for node in nodes {
        for (cid, number) in acknowledged.iter().step_by(step) {
            let found = read(port(node), cid);
            assert_eq!(found, Ok(*number as u64), "{} {cid}", node.layout.name);
        }
    }
}

#[test]
fn acknowledged_objects_outlive_killed_nodes_and_a_full_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut network = start(dir.path(), 1, 4);
    let small = small_disk(&mut network.nodes[2]);
    for node in &network.nodes {
        wait_members(node, 4);
    }
    let ports: Vec<u16> = network.nodes.iter().map(port).collect();
    let full = network.nodes[2].layout.clone();
    let acknowledged = write_all(&ports, 1000, || {
        network.nodes[3].r1d.kill();
        network.nodes[4].r1d.kill();
        if small {
            fill(&full);
        } else {
            let required = std::env::var_os("R1_REQUIRE_ALL").is_some_and(|value| value == "1");
            assert!(!required, "no small file system can be mounted here");
            println!("SKIP full disk: no small file system can be mounted here");
        }
    });
    assert!(acknowledged.len() > 300, "{} acknowledged", acknowledged.len());
    let living: Vec<&Node> = network.nodes[..3].iter().collect();
    read_everywhere(&living, &acknowledged, 1);
    for node in &mut network.nodes[3..] {
        node.start_r1d().expect("started again");
    }
    let nodes: Vec<&Node> = network.nodes.iter().collect();
    wait_copies(&nodes, &acknowledged, 3);
    read_everywhere(&nodes, &acknowledged, 7);
    if small {
        // A full disk has no room to note down what is let go of; once there is room again, that is made up for.
        std::fs::remove_file(full.state().join("r1fs/filler")).expect("the disk is freed");
    }
    collection_removes_exactly_the_unpinned(&nodes, &acknowledged);
    network.end();
    if small {
        umount(&full.state().join("r1fs")).expect("unmounted");
    }
}

/// Half of one node's objects are deleted; every copy of them goes, and of the others none.
fn collection_removes_exactly_the_unpinned(nodes: &[&Node], acknowledged: &BTreeMap<String, usize>) {
    let own = |number: usize| number.is_multiple_of(5);
    let mine: Vec<(&String, &usize)> = acknowledged.iter().filter(|(_, number)| own(**number)).collect();
    let (gone, kept) = mine.split_at(mine.len() / 2);
    assert!(!gone.is_empty());
    for (cid, _) in gone {
        let body = json!({ "cid": cid }).to_string();
        let (status, answer) = call(port(nodes[0]), "POST /delete_file", body.as_bytes()).expect("an answer");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    }
    let deadline = Instant::now() + PATIENCE;
    let left = || {
        let pins: Vec<_> = nodes.iter().map(|node| pins(node)).collect();
        gone.iter()
            .filter(|(cid, _)| pins.iter().any(|pins| pins.contains(*cid)))
            .count()
    };
    while left() > 0 {
        assert!(
            Instant::now() < deadline,
            "{} deleted objects are still held",
            left()
        );
        sleep(Duration::from_millis(500));
    }
    for node in nodes {
        node.post("/v1/r1fs/gc", &json!({ "grace_s": 0 }))
            .expect("collected");
    }
    for (cid, _) in gone {
        let error = read(port(nodes[1]), cid).expect_err("deleted");
        assert!(error.contains("File not found!"), "{error}");
    }
    for (cid, number) in kept {
        assert_eq!(read(port(nodes[1]), cid), Ok(**number as u64));
    }
}
