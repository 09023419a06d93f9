//! The machine that a comparison is made on.

use std::{fs, thread};

use super::result::Machine;

/// As the kernel describes it; what it does not tell is left empty.
pub(super) fn describe() -> Machine {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let kernel = nix::sys::utsname::uname().map(|name| {
        format!("{} {}", name.release().to_string_lossy(), name.machine().to_string_lossy())
    });
    Machine {
        kernel: kernel.unwrap_or_default(),
        model: model(&read("/proc/cpuinfo")),
        cores: thread::available_parallelism().map_or(0, Into::into),
        load: load(&read("/proc/loadavg")).unwrap_or_default(),
    }
}

fn model(cpuinfo: &str) -> String {
    let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let model = fields.find(|(name, _)| name.trim() == "model name");
    model.map(|(_, model)| model.trim().to_owned()).unwrap_or_default()
}

fn load(loadavg: &str) -> Option<f64> {
    loadavg.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_and_load_are_read_from_the_kernels_words() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"), "Some CPU @ 2 GHz");
        assert_eq!(model("Processor : 0\n"), "");
        assert_eq!(load("0.52 0.58 0.59 1/467 12345\n"), Some(0.52));
        assert_eq!(load(""), None);
    }
}
