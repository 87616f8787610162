//! What this process costs, by the names that Prometheus client libraries use.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Units of time in `/proc/<pid>/stat`: USER_HZ, which the kernel's ABI fixes at 100 on all our architectures.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc/self` at each scrape. Figures that cannot be read are left out.
#[derive(Debug, Clone, Copy)]
pub struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Some(stat) = fs::read_to_string("/proc/self/stat")
            .ok()
            .and_then(|text| Stat::parse(&text))
        else {
            return Ok(());
        };
        put(
            &mut encoder,
            "process_cpu_seconds",
            CPU_HELP,
            &ConstCounter::new(stat.cpu_seconds),
        )?;
        put(
            &mut encoder,
            "process_threads",
            "Threads of the process",
            &ConstGauge::new(stat.threads),
        )?;
        put(
            &mut encoder,
            "process_virtual_memory_bytes",
            VIRTUAL_HELP,
            &ConstGauge::new(stat.virtual_bytes),
        )?;
        if let Some(resident) = resident_bytes() {
            put(
                &mut encoder,
                "process_resident_memory_bytes",
                RESIDENT_HELP,
                &ConstGauge::new(resident),
            )?;
        }
        if let Some(boot) = boot_seconds() {
            let start = boot + stat.start_seconds;
            put(
                &mut encoder,
                "process_start_time_seconds",
                START_HELP,
                &ConstGauge::new(start),
            )?;
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // One of them is the folder that is being read.
            let open = entries.count().saturating_sub(1) as u64;
            put(
                &mut encoder,
                "process_open_fds",
                "File descriptors that are open",
                &ConstGauge::new(open),
            )?;
        }
        if let Some(limit) = max_fds() {
            put(
                &mut encoder,
                "process_max_fds",
                "File descriptors that may be open",
                &ConstGauge::new(limit),
            )?;
        }
        Ok(())
    }
}

const CPU_HELP: &str = "CPU time of the process in user and kernel mode, seconds";
const VIRTUAL_HELP: &str = "Address space of the process, bytes";
const RESIDENT_HELP: &str = "Memory of the process that is in RAM, bytes";
const START_HELP: &str = "When the process started, seconds since 1970-01-01 UTC";

fn put(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

struct Stat {
    cpu_seconds: f64,
    threads: u64,
    start_seconds: f64,
    virtual_bytes: u64,
}

impl Stat {
    /// Parses `/proc/<pid>/stat`; the second field is in parentheses and may hold anything (proc_pid_stat(5)).
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
        // Field n of the manual page is at n - 3 here.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / TICKS_PER_SECOND;
        Some(Self {
            cpu_seconds: seconds(number(14)? + number(15)?),
            threads: number(20)?,
            start_seconds: seconds(number(22)?),
            virtual_bytes: number(23)?,
        })
    }
}

fn resident_bytes() -> Option<u64> {
    number_after(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:").map(|kib| kib * 1024)
}

fn boot_seconds() -> Option<f64> {
    number_after(&fs::read_to_string("/proc/stat").ok()?, "btime ").map(|seconds| seconds as f64)
}

fn max_fds() -> Option<u64> {
    number_after(&fs::read_to_string("/proc/self/limits").ok()?, "Max open files ")
}

fn number_after(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 3 0 1000 4096 9";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.cpu_seconds, stat.threads), (2.0, 3));
        assert_eq!((stat.start_seconds, stat.virtual_bytes), (10.0, 4096));
        assert!(Stat::parse("").is_none() && Stat::parse("1 (x) S").is_none());
    }

    #[test]
    fn this_process_can_be_read() {
        assert!(resident_bytes().unwrap() > 100_000);
        assert!(boot_seconds().unwrap() > 1e9);
        assert!(max_fds().is_none_or(|limit| limit > 2));
    }
}
