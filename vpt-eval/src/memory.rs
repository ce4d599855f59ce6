//! Memory of this process.

/// The most memory this process has held so far (resident set, bytes), from `VmHWM`; `None` where the system has no `/proc`.
pub fn peak_memory_bytes() -> Option<u64> {
    parse("VmHWM:", &std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The memory this process holds now (resident set, bytes), from `VmRSS`; `None` where the system has no `/proc`.
pub fn resident_memory_bytes() -> Option<u64> {
    parse("VmRSS:", &std::fs::read_to_string("/proc/self/status").ok()?)
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
    }
}
