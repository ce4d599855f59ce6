//! Peak memory of this process.

/// The most memory this process has held so far (resident set, bytes), from `VmHWM`; `None` where the system has no `/proc`.
pub fn peak_memory_bytes() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_high_water_mark() {
        assert_eq!(
            parse_peak("VmPeak:\t  999 kB\nVmHWM:\t  2048 kB\n"),
            Some(2048 * 1024)
        );
        assert_eq!(parse_peak("nothing here"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_holds_something() {
        assert!(peak_memory_bytes().unwrap() > 1 << 18);
    }
}
