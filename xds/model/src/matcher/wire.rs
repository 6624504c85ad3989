//! Conversion of matchers.

use xds_api::envoy::config::route::v3 as route;
use xds_api::envoy::r#type::matcher::v3 as matcher;
use xds_api::envoy::r#type::v3::Int64Range;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::header::wire::field_name;
use crate::matcher::{
    FullRegex, HeaderCondition, HeaderMatcher, QueryCondition, QueryMatcher, StringMatcher, StringPattern,
};

impl StringMatcher {
    /// Converts a condition on a string.
    pub(crate) fn convert(wire: &matcher::StringMatcher, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => matcher::StringMatcher { [implemented "not with safe_regex"] ignore_case; }
            oneof match_pattern {
                [implemented] exact, prefix, suffix, safe_regex, contains;
                [refused "custom matchers are extensions of Envoy"] custom;
            }
        }
        use matcher::string_matcher::MatchPattern;
        let pattern = match match_pattern {
            Some(MatchPattern::Exact(text)) => StringPattern::Exact(text.clone()),
            Some(MatchPattern::Prefix(text)) => StringPattern::Prefix(text.clone()),
            Some(MatchPattern::Suffix(text)) => StringPattern::Suffix(text.clone()),
            Some(MatchPattern::Contains(text)) => StringPattern::Contains(text.clone()),
            Some(MatchPattern::SafeRegex(wire)) if !ignore_case => {
                StringPattern::Regex(context.within("safe_regex", |context| FullRegex::convert(wire, context))?)
            }
            Some(MatchPattern::SafeRegex(_)) => {
                return Err(context.refusal("ignore_case", "has no meaning with safe_regex"));
            }
            Some(MatchPattern::Custom(_)) => return Err(context.refused_member::<matcher::StringMatcher>("custom")),
            None => return Err(context.refusal_here("is empty")),
        };
        Ok(Self { pattern, ignore_case: *ignore_case })
    }

    fn plain(pattern: StringPattern) -> Self {
        Self { pattern, ignore_case: false }
    }
}

impl FullRegex {
    /// Converts and compiles an expression.
    pub(crate) fn convert(wire: &matcher::RegexMatcher, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => matcher::RegexMatcher { [implemented] regex; }
            oneof engine_type { [implemented "the only engine; its settings have no effect"] google_re2; }
        }
        match engine_type {
            None | Some(matcher::regex_matcher::EngineType::GoogleRe2(_)) => {}
        }
        if regex.is_empty() {
            return Err(context.refusal("regex", "is empty"));
        }
        Self::new(regex).map_err(|error| context.refusal("regex", error))
    }
}

/// Converts a substitution: what is looked for, and the text that replaces it.
pub(crate) fn substitution(
    wire: &matcher::RegexMatchAndSubstitute,
    context: &mut Context<'_>,
) -> Result<(FullRegex, String), Refusal> {
    fates! { context, wire => matcher::RegexMatchAndSubstitute { [implemented] pattern, substitution; } }
    let pattern = context.required("pattern", pattern, FullRegex::convert)?;
    check_groups(substitution, pattern.unanchored().captures_len())
        .map_err(|problem| context.refusal("substitution", problem))?;
    Ok((pattern, substitution.clone()))
}

/// RE2's `CheckRewriteString`: a backslash stands before a digit that names a group, or before another backslash.
fn check_groups(substitution: &str, groups: usize) -> Result<(), String> {
    let mut letters = substitution.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            continue;
        }
        match letters.next() {
            Some('\\') => {}
            Some(digit @ '0'..='9') if digit.to_digit(10).is_some_and(|group| (group as usize) < groups) => {}
            Some(digit @ '0'..='9') => return Err(format!("the pattern has no group {digit}")),
            _ => return Err("a backslash must stand before a digit or another backslash".to_owned()),
        }
    }
    Ok(())
}

impl HeaderMatcher {
    /// Converts a condition on a header, in the current or in a deprecated form.
    pub(crate) fn convert(wire: &route::HeaderMatcher, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => route::HeaderMatcher {
                [implemented] name, invert_match, treat_missing_header_as_empty;
            }
            oneof header_match_specifier {
                [implemented] string_match, present_match, range_match, exact_match, prefix_match, suffix_match,
                    contains_match, safe_regex_match;
            }
        }
        use route::header_matcher::HeaderMatchSpecifier as Specifier;
        let plain = |pattern| HeaderCondition::Value(StringMatcher::plain(pattern));
        let condition = match header_match_specifier {
            Some(Specifier::StringMatch(wire)) => {
                HeaderCondition::Value(context.within("string_match", |context| StringMatcher::convert(wire, context))?)
            }
            Some(Specifier::ExactMatch(text)) => plain(StringPattern::Exact(text.clone())),
            Some(Specifier::PrefixMatch(text)) => plain(StringPattern::Prefix(text.clone())),
            Some(Specifier::SuffixMatch(text)) => plain(StringPattern::Suffix(text.clone())),
            Some(Specifier::ContainsMatch(text)) => plain(StringPattern::Contains(text.clone())),
            Some(Specifier::SafeRegexMatch(wire)) => plain(StringPattern::Regex(
                context.within("safe_regex_match", |context| FullRegex::convert(wire, context))?,
            )),
            Some(Specifier::RangeMatch(wire)) => context.within("range_match", |context| range(wire, context))?,
            Some(Specifier::PresentMatch(present)) => HeaderCondition::Present(*present),
            None => HeaderCondition::Present(true),
        };
        Ok(Self {
            name: context.within("name", |context| field_name(name, context))?,
            condition,
            invert: *invert_match,
            treat_missing_as_empty: *treat_missing_header_as_empty,
        })
    }
}

fn range(wire: &Int64Range, context: &mut Context<'_>) -> Result<HeaderCondition, Refusal> {
    fates! { context, wire => Int64Range { [implemented] start, end; } }
    Ok(HeaderCondition::Range { start: *start, end: *end })
}

impl QueryMatcher {
    /// Converts a condition on a query parameter.
    pub(crate) fn convert(wire: &route::QueryParameterMatcher, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => route::QueryParameterMatcher { [implemented] name; }
            oneof query_parameter_match_specifier { [implemented] string_match, present_match; }
        }
        use route::query_parameter_matcher::QueryParameterMatchSpecifier as Specifier;
        let condition = match query_parameter_match_specifier {
            Some(Specifier::StringMatch(wire)) => {
                QueryCondition::Value(context.within("string_match", |context| StringMatcher::convert(wire, context))?)
            }
            Some(Specifier::PresentMatch(present)) => QueryCondition::Present(*present),
            None => QueryCondition::Present(true),
        };
        if name.is_empty() {
            return Err(context.refusal("name", "is empty"));
        }
        Ok(Self { name: name.clone(), condition })
    }
}
