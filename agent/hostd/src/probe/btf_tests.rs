//! A type table built by hand, and the running kernel's.

use super::*;

/// Builds BTF records.
#[derive(Default)]
struct Table {
    types: Vec<u8>,
    strings: Vec<u8>,
}

impl Table {
    fn new() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
        }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        at
    }

    fn push(&mut self, name: &str, kind: u32, flag: bool, len: u32, size: u32, tail: &[u32]) {
        let name = self.string(name);
        let info = (u32::from(flag) << 31) | (kind << 24) | len;
        for word in [name, info, size].iter().chain(tail) {
            self.types.extend_from_slice(&word.to_ne_bytes());
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let (types, strings) = (
            u32::try_from(self.types.len()).unwrap(),
            u32::try_from(self.strings.len()).unwrap(),
        );
        let mut out = MAGIC.to_ne_bytes().to_vec();
        out.extend_from_slice(&[1, 0]);
        for word in [24, 0, types, types, strings] {
            out.extend_from_slice(&word.to_ne_bytes());
        }
        out.extend_from_slice(&self.types);
        out.extend_from_slice(&self.strings);
        out
    }
}

/// 1 int, 2 union { a; b }, 3 struct task { state; union { a; b }; bit field; pid }, 4 pointer to it,
/// 5 function (pointer, int), 6 pointer to it, 7 typedef, 8 enum64, 9 forward.
fn fixture() -> Vec<u8> {
    let mut t = Table::new();
    t.push("int", KIND_INT, false, 0, 4, &[0x0100_0020]);
    let (a, b) = (t.string("a"), t.string("b"));
    t.push("", KIND_UNION, false, 2, 4, &[a, 1, 0, b, 1, 0]);
    let (state, bit, pid) = (t.string("__state"), t.string("bit"), t.string("pid"));
    let members = [state, 1, 0, 0, 2, 32, bit, 1, (3 << 24) | 67, pid, 1, 96];
    t.push("task_struct", KIND_STRUCT, true, 4, 16, &members);
    t.push("", KIND_PTR, false, 0, 3, &[]);
    t.push("", KIND_FUNC_PROTO, false, 2, 0, &[0, 4, 0, 1]);
    t.push("", KIND_PTR, false, 0, 5, &[]);
    t.push("btf_trace_x", KIND_TYPEDEF, false, 0, 6, &[]);
    t.push("big", KIND_ENUM64, false, 1, 8, &[a, 1, 0]);
    t.push("cgroup", 7, false, 0, 0, &[]);
    t.bytes()
}

#[test]
fn fields_are_found_also_inside_unnamed_members() {
    let data = fixture();
    let btf = Btf::parse(&data).unwrap();
    let ids = btf.find(&["task_struct", "btf_trace_x", "cgroup"]);
    assert_eq!(ids.get("task_struct"), Some(&3));
    assert_eq!(ids.get("cgroup"), None, "a forward declaration is no structure");
    let at = |name| btf.field(3, name).map(|(offset, _)| offset);
    assert_eq!(at("__state"), Some(0));
    assert_eq!(at("b"), Some(4));
    assert_eq!(at("pid"), Some(12));
    assert_eq!(
        at("bit"),
        None,
        "a bit field that starts inside a byte has no byte offset"
    );
    assert_eq!(at("missing"), None);
}

#[test]
fn parameters_of_a_tracepoint_are_told_apart() {
    let data = fixture();
    let btf = Btf::parse(&data).unwrap();
    assert_eq!(btf.parameter_is_pointer(7, 0), Some(true));
    assert_eq!(btf.parameter_is_pointer(7, 1), Some(false));
    assert_eq!(btf.parameter_is_pointer(7, 2), None);
}

#[test]
fn damaged_tables_are_refused() {
    let data = fixture();
    assert!(Btf::parse(&[]).is_err());
    assert!(Btf::parse(&data[1..]).is_err());
    for end in 0..data.len() {
        assert!(Btf::parse(&data[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn the_running_kernel_has_every_field() {
    let Ok(data) = std::fs::read(crate::probe::offsets::VMLINUX) else {
        assert!(
            std::env::var_os("R1_REQUIRE_ALL").is_none(),
            "this kernel publishes no BTF"
        );
        eprintln!("SKIP the_running_kernel_has_every_field: this kernel publishes no BTF");
        return;
    };
    let found = crate::probe::offsets::of_btf(&data).unwrap();
    assert!(
        found.task_pid > 0 && found.task_tgid == found.task_pid + 4,
        "{found:?}"
    );
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    // Offsets of 6.18 with the configuration of the machine this was first measured on (from a dump of its BTF).
    if release.starts_with("6.18.44-") {
        let have = [
            found.task_pid,
            found.task_state,
            found.task_cgroups,
            found.cset_dfl_cgrp,
            found.cgroup_kn,
            found.kn_id,
        ];
        assert_eq!(have, [1264, 24, 2376, 112, 256, 96]);
    }
}
