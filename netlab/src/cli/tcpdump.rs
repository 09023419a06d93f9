//! tcpdump's flags that netlab has nothing of its own for: those that ask for what it does
//! anyway, and those that it refuses, with the reason and the way out.

use std::fmt;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// What becomes of a flag.
#[derive(Debug)]
enum Answer {
    /// Nothing: it is so already, or it is about packets that are not decoded at all.
    Already,
    /// The same, unless this flag is there too, which asks for the contrary.
    AlreadyBut(&'static str),
    /// With this value it is so already; any other is refused.
    Only(&'static str, Refusal),
    /// It is all that is asked for: this is printed.
    Prints(&'static str),
    /// It is refused.
    Refused(Refusal),
}

/// Why a flag is refused, and what to do instead.
#[derive(Debug)]
struct Refusal {
    why: &'static str,
    instead: &'static str,
}

/// A flag of tcpdump's.
#[derive(Debug)]
struct Flag {
    /// As it is typed: a letter, or a word where there is none.
    name: &'static str,
    /// The word beside the letter.
    long: Option<&'static str>,
    /// What its value is called, if it takes one.
    value: Option<&'static str>,
    answer: Answer,
}

const fn flag(
    name: &'static str,
    long: Option<&'static str>,
    value: Option<&'static str>,
    answer: Answer,
) -> Flag {
    Flag { name, long, value, answer }
}

const fn refused(why: &'static str, instead: &'static str) -> Answer {
    Answer::Refused(Refusal { why, instead })
}

const fn only(value: &'static str, why: &'static str, instead: &'static str) -> Answer {
    Answer::Only(value, Refusal { why, instead })
}

/// All of them, of tcpdump 4.99. That it prints BGP (-b), NFS (-u) and 802.11 (-H) differently
/// is of no concern where none of them is decoded.
const FLAGS: &[Flag] = &[
    flag("-b", None, None, Answer::Already),
    flag("-f", None, None, Answer::AlreadyBut("names")),
    flag("-H", None, None, Answer::Already),
    flag("-p", Some("no-promiscuous-mode"), None, Answer::Already),
    flag("-u", None, None, Answer::Already),
    flag("--immediate-mode", None, None, Answer::Already),
    flag("--micro", None, None, Answer::AlreadyBut("nano")),
    flag(
        "-L",
        Some("list-data-link-types"),
        None,
        Answer::Prints("Data link types (use option -y to set):\n  EN10MB (Ethernet)\n"),
    ),
    flag(
        "-J",
        Some("list-time-stamp-types"),
        None,
        Answer::Prints("Time stamp types (use option -j to set):\n  host (Host)\n"),
    ),
    flag(
        "-y",
        Some("linktype"),
        Some("TYPE"),
        only(
            "EN10MB",
            "every packet is an Ethernet frame here, one without a header gets an empty one",
            "leave it out; with -r the file tells its own",
        ),
    ),
    flag(
        "-j",
        Some("time-stamp-type"),
        Some("TYPE"),
        only(
            "host",
            "times are those at which the kernel's hooks saw the packets",
            "for a card's own clock use tcpdump there",
        ),
    ),
    flag(
        "-Z",
        Some("relinquish-privileges"),
        Some("USER"),
        only(
            "root",
            "a capture attaches to what appears while it runs, so it needs its privileges to the \
             end",
            "pipe -w - to a process of that user, or read the file (-r) as that user",
        ),
    ),
    flag(
        "-I",
        Some("monitor-mode"),
        None,
        refused(
            "what is on the air is no Ethernet, and does not come by netlab's hooks",
            "use tcpdump on that interface",
        ),
    ),
    flag(
        "-E",
        None,
        Some("SECRET"),
        refused("ESP is not decrypted", "write the packets (-w) and give Wireshark the keys"),
    ),
    flag(
        "-M",
        None,
        Some("SECRET"),
        refused("TCP's MD5 digests are not verified", "write the packets (-w) for tcpdump -r -M"),
    ),
    flag(
        "-m",
        None,
        Some("MODULE"),
        refused("SNMP is not decoded", "write the packets (-w) for tcpdump -r or Wireshark"),
    ),
    flag(
        "-T",
        None,
        Some("PROTOCOL"),
        refused(
            "what a packet is, is told by its ports",
            "name VXLAN's with --vxlan-port; for others write the packets (-w) for tcpdump -r -T",
        ),
    ),
    flag(
        "-V",
        None,
        Some("FILE"),
        refused("-r reads one file", "for each of a list: xargs -n1 netlab capture -r < FILE"),
    ),
];

impl Flag {
    fn arg(&self) -> Arg {
        let arg = Arg::new(self.name).hide(true);
        let arg = match (self.name.strip_prefix("--"), self.name.chars().nth(1)) {
            (Some(word), _) => arg.long(word),
            (None, letter) => letter.into_iter().fold(arg, Arg::short),
        };
        let arg = self.long.into_iter().fold(arg, Arg::long);
        let arg = match self.answer {
            Answer::AlreadyBut(other) => arg.conflicts_with(other),
            _ => arg,
        };
        match self.value {
            Some(value) => arg.value_name(value).action(ArgAction::Append),
            None => arg.action(ArgAction::Count),
        }
    }

    /// The values that were given with it; one without text for a flag that takes none.
    fn values(&self, matches: &ArgMatches) -> Vec<String> {
        if self.value.is_some() {
            return matches.get_many(self.name).into_iter().flatten().cloned().collect();
        }
        let is_given = matches.get_count(self.name) > 0;
        is_given.then(String::new).into_iter().collect()
    }
}

/// Those that were given and mean something.
#[derive(Debug, Default)]
pub struct TcpdumpArgs {
    /// What the first that cannot be had is answered.
    pub refused: Option<Refused>,
    /// What is to be printed instead of packets.
    pub prints: Option<&'static str>,
}

/// A flag that is refused. Displays as what was typed, the reason, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl TcpdumpArgs {
    fn of(matches: &ArgMatches) -> Self {
        let mut args = Self::default();
        for flag in FLAGS {
            for value in flag.values(matches) {
                args.see(flag, &value);
            }
        }
        args
    }

    fn see(&mut self, flag: &Flag, value: &str) {
        let refusal = match &flag.answer {
            Answer::Already | Answer::AlreadyBut(_) => return,
            Answer::Prints(text) => {
                self.prints = Some(text);
                return;
            }
            Answer::Only(known, _) if known.eq_ignore_ascii_case(value) => return,
            Answer::Only(_, refusal) | Answer::Refused(refusal) => refusal,
        };
        let typed = format!("{} {value}", flag.name);
        let text = format!("{}: {}; {}", typed.trim_end(), refusal.why, refusal.instead);
        self.refused.get_or_insert(Refused(text));
    }
}

impl FromArgMatches for TcpdumpArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self::of(matches))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::of(matches);
        Ok(())
    }
}

impl Args for TcpdumpArgs {
    fn augment_args(command: Command) -> Command {
        // -V is tcpdump's own, so the version has no letter.
        let version = Arg::new("version").long("version").action(ArgAction::Version).hide(true);
        command.disable_version_flag(true).arg(version).args(FLAGS.iter().map(Flag::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Verb};

    fn typed(flags: &str) -> Result<TcpdumpArgs, clap::Error> {
        let words = ["netlab", "capture"].into_iter().chain(flags.split(' '));
        match Cli::try_parse_from(words)?.verb {
            Verb::Capture(args) => Ok(args.tcpdump),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_so_already_is_taken_as_often_as_it_is_typed() {
        for flags in [
            "-p",
            "-nnpuHbf",
            "-u -u",
            "--immediate-mode",
            "--no-promiscuous-mode",
            "--micro",
            "-y EN10MB",
            "--linktype=en10mb",
            "-Z root",
            "-jhost",
        ] {
            let args = typed(flags).unwrap();
            assert_eq!((args.refused, args.prints), (None, None), "{flags}");
        }
    }

    #[test]
    fn a_refusal_names_the_flag_the_reason_and_the_way_out() {
        for flag in FLAGS {
            let (refusal, value) = match &flag.answer {
                Answer::Refused(refusal) => (refusal, flag.value.map(|_| "x")),
                Answer::Only(_, refusal) => (refusal, Some("x")),
                _ => continue,
            };
            let line = [flag.name].into_iter().chain(value);
            let line = line.collect::<Vec<_>>().join(" ");
            let told = typed(&line).unwrap().refused.unwrap().to_string();
            assert_eq!(told, format!("{line}: {}; {}", refusal.why, refusal.instead));
        }
    }

    #[test]
    fn contraries_are_refused() {
        assert!(typed("-f -N").is_err());
        assert!(typed("--micro --nano").is_err());
    }

    #[test]
    fn lists_are_printed() {
        assert!(typed("-L").unwrap().prints.unwrap().contains("EN10MB"));
        assert!(typed("-J").unwrap().prints.unwrap().contains("host"));
    }

    #[test]
    fn the_version_is_told_and_has_no_letter_here() {
        let error = typed("--version").unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::DisplayVersion);
        assert!(typed("-V list").unwrap().refused.is_some());
    }

    /// tcpdump's own list, as its manual page has it: no letter of it is unknown.
    #[test]
    fn every_letter_of_tcpdump_is_answered() {
        let command = <crate::cli::CaptureArgs as Args>::augment_args(Command::new("capture"));
        let known: Vec<char> = command.get_arguments().filter_map(Arg::get_short).collect();
        for letter in "AbBcCdDeEfFGHiIjJKlLmMnNOpqQrsStTuUvVwWxXyzZ#".chars() {
            assert!(known.contains(&letter), "-{letter}");
        }
    }
}
