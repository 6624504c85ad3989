//! Environment variables as a value, so that everything that reads them can be tested without changing the process.

use std::collections::BTreeMap;
use std::time::Duration;

use super::BootstrapError;

/// Names and values.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Those of this process. Names and values that are not UTF-8 are left out: none that we read may be.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { variables }
    }

    /// The given ones.
    pub fn new<Name: Into<String>, Value: Into<String>>(variables: impl IntoIterator<Item = (Name, Value)>) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable, or its default.
    pub fn get_or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.get(name).unwrap_or(default)
    }

    /// All of them.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// A truth value as Go's `strconv.ParseBool` reads it; false where it is not set.
    ///
    /// # Errors
    /// Anything else.
    pub fn flag(&self, name: &str) -> Result<bool, BootstrapError> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(other) => Err(BootstrapError::new(name, format!("`{other}` is neither true nor false"))),
        }
    }

    /// A duration as Go writes it (`5s`, `1m30s`, `100ms`).
    ///
    /// # Errors
    /// Anything else.
    pub fn duration(&self, name: &str, default: Duration) -> Result<Duration, BootstrapError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => parse_go_duration(text)
                .ok_or_else(|| BootstrapError::new(name, format!("`{text}` is not a duration such as 5s or 1m30s"))),
        }
    }

    /// A port; the default where it is not set.
    ///
    /// # Errors
    /// Not a number up to 65535.
    pub fn port(&self, name: &str, default: u16) -> Result<u16, BootstrapError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| BootstrapError::new(name, format!("`{text}` is not a port number"))),
        }
    }
}

/// Go's `time.ParseDuration`, without signs.
pub(crate) fn parse_go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let scale = match rest.get(..unit_end)? {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += amount * scale;
        rest = rest.get(unit_end..)?;
    }
    (!text.is_empty()).then_some(())?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, milliseconds) in
            [("5s", 5_000), ("1m30s", 90_000), ("100ms", 100), ("1.5s", 1_500), ("0", 0), ("2h", 7_200_000)]
        {
            assert_eq!(parse_go_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "5 s", "-5s", "5x", "1e400h"] {
            assert_eq!(parse_go_duration(text), None, "{text}");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let environment = Environment::new([("A", ""), ("B", "true"), ("C", "maybe")]);
        assert_eq!(environment.get("A"), None);
        assert!(environment.flag("B").unwrap());
        assert!(environment.flag("C").unwrap_err().to_string().starts_with("C: "));
    }
}
