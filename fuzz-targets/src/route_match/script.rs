//! The text of a table and of requests.

/// Lines, each with its words:
///
/// ```text
/// host DOMAIN...
/// prefix | exact | separated | regex [nocase] PATH [NAME=VALUE]
/// request AUTHORITY TARGET [NAME=VALUE]
/// ```
///
/// Rules belong to the host above them. A line that is none of these is skipped.
#[derive(Debug, Default)]
pub(super) struct Script<'a> {
    pub(super) hosts: Vec<Host<'a>>,
    pub(super) requests: Vec<Request<'a>>,
}

#[derive(Debug)]
pub(super) struct Host<'a> {
    pub(super) domains: Vec<&'a str>,
    pub(super) rules: Vec<Rule<'a>>,
}

#[derive(Debug)]
pub(super) struct Rule<'a> {
    pub(super) path: Path,
    pub(super) ignore_case: bool,
    pub(super) header: Option<(&'a str, &'a str)>,
}

#[derive(Debug)]
pub(super) enum Path {
    Prefix(String),
    Exact(String),
    Separated(String),
    Regex(String),
}

#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) authority: &'a str,
    pub(super) target: &'a str,
    pub(super) header: Option<(&'a str, &'a str)>,
}

/// Longer tables find nothing more, and take longer.
const MOST_LINES: usize = 200;

impl<'a> Script<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let mut script = Script::default();
        for line in text.lines().take(MOST_LINES) {
            script.line(line);
        }
        script
    }

    fn line(&mut self, line: &'a str) -> Option<()> {
        let mut words = line.split_ascii_whitespace();
        match words.next()? {
            "host" => self.hosts.push(Host { domains: words.collect(), rules: Vec::new() }),
            "request" => {
                let (authority, target) = (words.next()?, words.next()?);
                self.requests.push(Request { authority, target, header: words.next().and_then(header) });
            }
            kind => {
                let mut word = words.next()?;
                let ignore_case = word == "nocase";
                if ignore_case {
                    word = words.next()?;
                }
                let path = path(kind, word.to_owned())?;
                let rule = Rule { path, ignore_case, header: words.next().and_then(header) };
                self.hosts.last_mut()?.rules.push(rule);
            }
        }
        Some(())
    }
}

fn path(kind: &str, text: String) -> Option<Path> {
    match kind {
        "prefix" => Some(Path::Prefix(text)),
        "exact" => Some(Path::Exact(text)),
        "separated" => Some(Path::Separated(text)),
        "regex" => Some(Path::Regex(text)),
        _ => None,
    }
}

fn header(text: &str) -> Option<(&str, &str)> {
    text.split_once('=')
}
