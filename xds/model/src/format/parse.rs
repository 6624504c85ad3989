//! Reading a format.

mod plain;

use self::plain::plain;
use crate::format::{Format, GrpcStatusForm, HeaderOperand, Operator, Segment, TimePoint};

/// Why a text is not a format. It names the operator that is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A percent sign that begins an operator which does not end.
    #[error("{0:?} is not an operator: write %% for a percent sign")]
    Unclosed(String),
    /// An operator that is not known.
    #[error("operator %{0}% is not known")]
    Unknown(String),
    /// An operator with wrong arguments.
    #[error("operator %{operator}%: {problem}")]
    Argument {
        /// The operator as it was written.
        operator: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Format {
    /// Reads `text`; `%%` is a percent sign. `ENVIRONMENT` is looked up now.
    ///
    /// # Errors
    /// An operator is not known, is not closed, or has arguments it does not take.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                literal.push('%');
                rest = after;
                continue;
            }
            let (operator, after) = split_operator(after)?;
            if !literal.is_empty() {
                segments.push(Segment::Literal(std::mem::take(&mut literal)));
            }
            segments.push(Segment::Operator(Written::read(operator)?.resolve()?));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal));
        }
        Ok(Self { segments })
    }
}

/// Splits what follows a percent sign into the operator and what comes after it. Arguments may hold percent signs.
fn split_operator(text: &str) -> Result<(&str, &str), FormatError> {
    let unclosed = || FormatError::Unclosed(format!("%{}", text.chars().take(40).collect::<String>()));
    let name_end = text.find(|letter: char| !(letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_'));
    let name_end = name_end.filter(|end| *end > 0).ok_or_else(unclosed)?;
    let (_, tail) = text.split_at(name_end);
    let arguments_end = if tail.starts_with('(') { tail.find(')').ok_or_else(unclosed)? + 1 } else { 0 };
    let (_, tail) = tail.split_at(arguments_end);
    let length_end = tail.find('%').ok_or_else(unclosed)?;
    let (operator, after) = text.split_at(name_end + arguments_end + length_end);
    Ok((operator, after.strip_prefix('%').unwrap_or(after)))
}

/// An operator as it was written: `NAME(arguments):length`.
struct Written<'a> {
    whole: &'a str,
    name: &'a str,
    arguments: Option<&'a str>,
    length: Option<usize>,
}

impl<'a> Written<'a> {
    fn read(whole: &'a str) -> Result<Self, FormatError> {
        let problem = |problem| FormatError::Argument { operator: whole.to_owned(), problem };
        let (name, arguments, rest) = match whole.split_once('(') {
            Some((name, tail)) => {
                let (arguments, rest) = tail.split_once(')').ok_or_else(|| problem("misses a parenthesis"))?;
                (name, Some(arguments), rest)
            }
            None => {
                let end = whole.find(':').unwrap_or(whole.len());
                let (name, rest) = whole.split_at(end);
                (name, None, rest)
            }
        };
        let length = match rest.strip_prefix(':') {
            Some(digits) => Some(digits.parse().map_err(|_| problem("the length is not a number"))?),
            None if rest.is_empty() => None,
            None => return Err(problem("has text after its arguments")),
        };
        Ok(Self { whole, name, arguments, length })
    }

    fn resolve(self) -> Result<Operator, FormatError> {
        match self.name {
            "REQ" | "REQUEST_HEADER" => Ok(Operator::Request(self.header()?)),
            "REQ_WITHOUT_QUERY" => Ok(Operator::RequestWithoutQuery(self.header()?)),
            "PATH" => self.request_path(),
            "QUERY_PARAM" => {
                Ok(Operator::QueryParameter { name: self.required()?.to_owned(), max_length: self.length })
            }
            "RESP" | "RESPONSE_HEADER" => Ok(Operator::Response(self.header()?)),
            "TRAILER" | "RESPONSE_TRAILER" => Ok(Operator::Trailer(self.header()?)),
            "START_TIME" => {
                self.no_length()?;
                Ok(Operator::StartTime(self.arguments.unwrap_or_default().to_owned()))
            }
            "EMIT_TIME" => {
                self.no_length()?;
                Ok(Operator::EmitTime(self.arguments.unwrap_or_default().to_owned()))
            }
            "COMMON_DURATION" => self.common_duration(),
            "GRPC_STATUS" | "GRPC_STATUS_NUMBER" => self.grpc_status(),
            "ENVIRONMENT" => Ok(Operator::Environment(self.environment()?)),
            "METADATA" => Ok(Operator::Metadata(self.path(3)?)),
            "DYNAMIC_METADATA" => Ok(Operator::DynamicMetadata(self.path(1)?)),
            "FILTER_STATE" | "UPSTREAM_FILTER_STATE" => {
                self.no_length()?;
                Ok(Operator::FilterState(self.required()?.to_owned()))
            }
            name => {
                let plain = plain(name).ok_or_else(|| FormatError::Unknown(self.whole.to_owned()))?;
                self.no_length()?;
                match self.arguments {
                    None => Ok(Operator::Plain(plain)),
                    // There is none in ours.
                    Some("ALLOW_WHITESPACES") if name == "RESPONSE_CODE_DETAILS" => Ok(Operator::Plain(plain)),
                    Some(length) if name.ends_with("_ADDRESS_WITHOUT_PORT") => {
                        let prefix_length = length.parse().ok().filter(|length| *length <= 128);
                        let prefix_length = prefix_length.ok_or_else(|| self.problem("needs a number of bits"))?;
                        Ok(Operator::Network { address: plain, prefix_length })
                    }
                    Some(_) => Err(self.problem("takes no arguments here")),
                }
            }
        }
    }

    /// `PATH(WQ:ORIG_OR_PATH)`: with the query or without (`NQ`), before a rewrite (`ORIG`) or after (`PATH`). Both may be left out.
    fn request_path(&self) -> Result<Operator, FormatError> {
        let arguments = self.arguments.unwrap_or_default();
        let (query, which) = arguments.split_once(':').unwrap_or((arguments, ""));
        let (name, alternative) = match which {
            "" | "ORIG_OR_PATH" => ("x-envoy-original-path", Some(":path")),
            "ORIG" => ("x-envoy-original-path", None),
            "PATH" => (":path", None),
            _ => return Err(self.problem("needs ORIG, PATH or ORIG_OR_PATH behind the colon")),
        };
        let header = HeaderOperand {
            name: name.to_owned(),
            alternative: alternative.map(str::to_owned),
            max_length: self.length,
        };
        match query {
            "" | "WQ" => Ok(Operator::Request(header)),
            "NQ" => Ok(Operator::RequestWithoutQuery(header)),
            _ => Err(self.problem("needs WQ or NQ")),
        }
    }

    /// `COMMON_DURATION(START:END:PRECISION)`.
    fn common_duration(&self) -> Result<Operator, FormatError> {
        self.no_length()?;
        let parts: Vec<&str> = self.required()?.split(':').collect();
        let [start, end, unit] = parts[..] else { return Err(self.problem("needs START:END:PRECISION")) };
        let unit = match unit {
            "ms" => 1_000_000,
            "us" => 1_000,
            "ns" => 1,
            _ => return Err(self.problem("needs ms, us or ns for its precision")),
        };
        Ok(Operator::CommonDuration { start: self.time_point(start)?, end: self.time_point(end)?, unit })
    }

    fn time_point(&self, name: &str) -> Result<TimePoint, FormatError> {
        Ok(match name {
            "DS_CX_BEG" => TimePoint::ConnectionBegin,
            "DS_CX_END" => TimePoint::ConnectionEnd,
            "DS_RX_BEG" => TimePoint::Begin,
            "DS_RX_END" => TimePoint::RequestReceived,
            "US_TX_END" => TimePoint::RequestSent,
            "US_RX_BEG" => TimePoint::ResponseBegan,
            "DS_TX_END" => TimePoint::End,
            _ => return Err(self.problem("measures a time that is not noted")),
        })
    }

    fn grpc_status(&self) -> Result<Operator, FormatError> {
        self.no_length()?;
        Ok(Operator::GrpcStatus(match (self.name, self.arguments.unwrap_or_default()) {
            ("GRPC_STATUS", "" | "CAMEL_STRING") => GrpcStatusForm::Camel,
            ("GRPC_STATUS", "SNAKE_STRING") => GrpcStatusForm::Snake,
            ("GRPC_STATUS", "NUMBER") | ("GRPC_STATUS_NUMBER", "") => GrpcStatusForm::Number,
            _ => return Err(self.problem("needs CAMEL_STRING, SNAKE_STRING or NUMBER")),
        }))
    }

    /// `NAME` or `NAME?ALTERNATIVE`.
    fn header(&self) -> Result<HeaderOperand, FormatError> {
        let (name, alternative) = match self.required()?.split_once('?') {
            Some((name, alternative)) => (name, Some(alternative)),
            None => (self.required()?, None),
        };
        for name in [Some(name), alternative].into_iter().flatten() {
            let mut letters = name.strip_prefix(':').unwrap_or(name).bytes().peekable();
            if letters.peek().is_none() || !letters.all(is_name_letter) {
                return Err(self.problem("needs the name of a header, and at most one alternative"));
            }
        }
        Ok(HeaderOperand {
            name: name.to_ascii_lowercase(),
            alternative: alternative.map(str::to_ascii_lowercase),
            max_length: self.length,
        })
    }

    fn environment(&self) -> Result<String, FormatError> {
        let name = self.required()?;
        if name.contains('=') || name.contains('\0') {
            return Err(self.problem("needs the name of a variable"));
        }
        let value = std::env::var(name).unwrap_or_else(|_| "-".to_owned());
        Ok(match self.length {
            Some(length) => value.chars().take(length).collect(),
            None => value,
        })
    }

    /// Parts between colons, at least `minimum`.
    fn path(&self, minimum: usize) -> Result<Vec<String>, FormatError> {
        self.no_length()?;
        let parts: Vec<String> = self.required()?.split(':').map(str::to_owned).collect();
        if parts.len() < minimum || parts.iter().any(String::is_empty) {
            return Err(self.problem("has an empty or missing part"));
        }
        Ok(parts)
    }

    fn required(&self) -> Result<&'a str, FormatError> {
        self.arguments.filter(|arguments| !arguments.is_empty()).ok_or_else(|| self.problem("needs an argument"))
    }

    fn no_length(&self) -> Result<(), FormatError> {
        match self.length {
            None => Ok(()),
            Some(_) => Err(self.problem("takes no length here")),
        }
    }

    fn problem(&self, problem: &'static str) -> FormatError {
        FormatError::Argument { operator: self.whole.to_owned(), problem }
    }
}

/// RFC 9110 5.6.2: the letters of a field name.
fn is_name_letter(letter: u8) -> bool {
    letter.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&letter)
}
