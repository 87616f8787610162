//! The system calls of the default sandbox: an allow-list for ordinary programs. What is dangerous is refused with
//! EPERM, so that programs see a refusal; what is unknown answers ENOSYS, so that they fall back.

use serde_json::{Value, json};

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = 97;

/// Files and directories.
const FILES: &str = "access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat \
    faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr \
    file_getattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents \
    getdents64 getxattr getxattrat lchown lgetxattr link linkat listmount listxattr listxattrat llistxattr \
    lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 \
    preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat \
    rename renameat renameat2 rmdir sendfile setxattr setxattrat splice stat statfs statmount statx symlink \
    symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write \
    writev cachestat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl";

/// Waiting, timers and events.
const EVENTS: &str = "alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl \
    epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 getitimer gettimeofday \
    io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit nanosleep pause poll ppoll pselect6 select \
    setitimer signalfd signalfd4 time timer_create timer_delete timer_getoverrun timer_gettime timer_settime \
    timerfd_create timerfd_gettime timerfd_settime";

/// Memory.
const MEMORY: &str = "brk get_mempolicy madvise map_shadow_stack membarrier memfd_create memfd_secret mincore \
    mlock mlock2 mlockall mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free \
    pkey_mprotect process_mrelease remap_file_pages";

/// Processes, threads, signals and identity.
const PROCESSES: &str = "arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue \
    futex_wait futex_waitv futex_wake get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups \
    getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid gettid \
    getuid ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self \
    pidfd_open pidfd_send_signal pipe pipe2 prctl prlimit64 restart_syscall rseq rt_sigaction rt_sigpending \
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo \
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler \
    sched_yield seccomp set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups \
    setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid sigaltstack sysinfo \
    tgkill times tkill uname vfork wait4 waitid";

/// Sockets (their families are below) and System V and POSIX interprocess communication.
const COMMUNICATION: &str = "accept accept4 bind connect getpeername getsockname getsockopt listen mq_getsetattr \
    mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd recvfrom recvmmsg recvmsg \
    semctl semget semop semtimedop sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown \
    socketpair";

/// Other namespaces, other processes, the kernel, the host's time and devices.
const REFUSED: &str = "acct add_key adjtimex bpf chroot clock_adjtime clock_settime delete_module fanotify_init \
    fanotify_mark finit_module fsconfig fsmount fsopen fspick init_module ioperm iopl kcmp kexec_file_load \
    kexec_load keyctl lookup_dcookie lsm_set_self_attr mbind migrate_pages modify_ldt mount mount_setattr \
    move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd \
    pivot_root process_madvise process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot request_key \
    set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon syslog \
    umount umount2 unshare uselib userfaultfd ustat vhangup";

/// Address families: unix, IPv4, IPv6, netlink.
const FAMILIES: [u64; 4] = [1, 2, 10, 16];
/// The largest allowed family; beyond lie packet, AF_ALG, vsock and the like.
const LAST_FAMILY: u64 = 16;

/// `clone` flags that make a namespace.
const NAMESPACE_FLAGS: [u64; 7] = [
    0x0002_0000,
    0x0200_0000,
    0x0400_0000,
    0x0800_0000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
];

/// Execution domains that programs ask for: Linux, Linux32, each with UNAME26, and the query.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

fn words(list: &str) -> Vec<&str> {
    list.split_ascii_whitespace().collect()
}

/// An OCI `LinuxSeccomp` for the native architecture; calls of other architectures end the process.
pub fn profile() -> Value {
    let mut allowed = Vec::new();
    for list in [FILES, EVENTS, MEMORY, PROCESSES, COMMUNICATION] {
        allowed.extend(words(list));
    }
    let mut rules = vec![
        json!({ "names": allowed, "action": "SCMP_ACT_ALLOW" }),
        json!({ "names": words(REFUSED), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM }),
    ];
    let all: u64 = NAMESPACE_FLAGS.iter().sum();
    rules.push(conditional(
        "clone",
        "SCMP_ACT_ALLOW",
        None,
        argument(0, "SCMP_CMP_MASKED_EQ", all, Some(0)),
    ));
    for flag in NAMESPACE_FLAGS {
        let has_flag = argument(0, "SCMP_CMP_MASKED_EQ", flag, Some(flag));
        rules.push(conditional("clone", "SCMP_ACT_ERRNO", Some(EPERM), has_flag));
    }
    for persona in PERSONALITIES {
        let is = argument(0, "SCMP_CMP_EQ", persona, None);
        rules.push(conditional("personality", "SCMP_ACT_ALLOW", None, is));
    }
    for family in FAMILIES {
        rules.push(conditional(
            "socket",
            "SCMP_ACT_ALLOW",
            None,
            argument(0, "SCMP_CMP_EQ", family, None),
        ));
    }
    let beyond = argument(0, "SCMP_CMP_GT", LAST_FAMILY, None);
    rules.push(conditional(
        "socket",
        "SCMP_ACT_ERRNO",
        Some(EAFNOSUPPORT),
        beyond,
    ));
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": ENOSYS, "syscalls": rules })
}

fn argument(index: u32, op: &str, value: u64, value_two: Option<u64>) -> Value {
    match value_two {
        Some(two) => json!({ "index": index, "op": op, "value": value, "valueTwo": two }),
        None => json!({ "index": index, "op": op, "value": value }),
    }
}

fn conditional(name: &str, action: &str, errno: Option<u32>, argument: Value) -> Value {
    let mut rule = json!({ "names": [name], "action": action, "args": [argument] });
    if let Some(errno) = errno {
        rule["errnoRet"] = json!(errno);
    }
    rule
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_refused() {
        let mut seen = HashSet::new();
        for list in [FILES, EVENTS, MEMORY, PROCESSES, COMMUNICATION, REFUSED] {
            for name in words(list) {
                assert!(seen.insert(name), "{name} is listed twice");
            }
        }
        for conditional in ["clone", "clone3", "socket", "personality", "io_uring_setup"] {
            assert!(!seen.contains(conditional), "{conditional}");
        }
    }
}
