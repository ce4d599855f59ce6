//! Memory of this process and of the machine.

/// The most memory this process has held so far (resident set, bytes), from `VmHWM`; `None` where the system has no `/proc`.
pub fn peak_memory_bytes() -> Option<u64> {
    parse("VmHWM:", &std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The memory this process holds now (resident set, bytes), from `VmRSS`; `None` where the system has no `/proc`.
pub fn resident_memory_bytes() -> Option<u64> {
    parse("VmRSS:", &std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The memory that a process may still take, in bytes: what the system calls available, or what a container's limit (cgroup v2)
/// leaves of it; `None` where the system has no `/proc`.
pub fn available_memory_bytes() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let free = parse("MemAvailable:", &read("/proc/meminfo")?)?;
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let left = limit.zip(number("/sys/fs/cgroup/memory.current"));
    Some(left.map_or(free, |(limit, used)| free.min(limit.saturating_sub(used))))
}

fn parse(key: &str, status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_high_water_mark() {
        assert_eq!(
            parse("VmHWM:", "VmPeak:\t  999 kB\nVmHWM:\t  2048 kB\n"),
            Some(2048 * 1024)
        );
        assert_eq!(parse("VmHWM:", "nothing here"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_holds_something() {
        let (peak, now) = (peak_memory_bytes().unwrap(), resident_memory_bytes().unwrap());
        assert!(peak > 1 << 18 && now > 1 << 18);
        assert!(available_memory_bytes().unwrap() > 1 << 18);
    }
}
