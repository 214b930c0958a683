//! A condition of `--where` as SQL.
//!
//! The two languages differ in words for values and in patterns. The condition has been checked: only its tokens are looked at, as
//! `schema::expr` splits them.

use arrow_schema::DataType;
use globset::GlobBuilder;

use crate::schema::columns::column_spec;

/// Signs of the language, the longer ones first.
const SIGNS: [&str; 11] = ["<=", ">=", "!=", "!~", "==", "(", ")", "=", "<", ">", "~"];
/// Words that are the same in SQL.
const WORDS: [&str; 5] = ["and", "or", "not", "is", "null"];

/// The condition behind WHERE.
///
/// # Errors
/// When a pattern has no form in SQL.
pub fn condition(text: &str) -> Result<String, String> {
    let mut words = Vec::new();
    let mut tokens = split(text).into_iter();
    while let Some(token) = tokens.next() {
        let column = match &token {
            Token::Word(word) if WORDS.iter().any(|own| word.eq_ignore_ascii_case(own)) => {
                words.push(word.to_ascii_uppercase());
                continue;
            }
            Token::Word(word) => word.clone(),
            Token::Sign(sign) => {
                words.push(sign.to_string());
                continue;
            }
            Token::Quoted(_) => return Err(format!("{text}: has no form in SQL")),
        };
        match tokens.next() {
            Some(Token::Sign(sign)) => {
                let value = tokens.next().map(Token::into_text).unwrap_or_default();
                words.push(comparison(&column, sign, &value)?);
            }
            Some(Token::Word(is)) => words.extend([column, is.to_ascii_uppercase()]),
            Some(Token::Quoted(_)) | None => return Err(format!("{text}: has no form in SQL")),
        }
    }
    Ok(words.join(" ").replace("( ", "(").replace(" )", ")"))
}

fn comparison(column: &str, sign: &str, value: &str) -> Result<String, String> {
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let Some(spec) = column_spec(column) else { return Err(format!("{column} is no column")) };
    match (sign, (spec.data_type)()) {
        ("~", _) => pattern(column, "", value),
        ("!~", _) => pattern(column, "NOT ", value),
        (sign, DataType::Int32 | DataType::UInt32 | DataType::Int64 | DataType::UInt64) => {
            let number = number(value).ok_or_else(|| format!("{column} {sign} {value}: has no form in SQL"))?;
            Ok(format!("{column} {} {number}", sign_in_sql(sign)))
        }
        (sign, DataType::Boolean) => Ok(format!("{column} {} {}", sign_in_sql(sign), value.to_ascii_lowercase())),
        (sign, DataType::Timestamp(..)) => Ok(format!("{column} {} TIMESTAMP {}", sign_in_sql(sign), text(value))),
        (sign, _) => Ok(format!("{column} {} {}", sign_in_sql(sign), text(value))),
    }
}

fn sign_in_sql(sign: &str) -> &str {
    match sign {
        "==" => "=",
        "!=" => "<>",
        sign => sign,
    }
}

/// A number in decimal or after 0x, with a unit of bytes or of time.
fn number(value: &str) -> Option<i128> {
    const UNITS: [(&str, i128); 6] =
        [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
    let unit = UNITS.iter().find_map(|(name, factor)| Some((value.strip_suffix(name)?, *factor)));
    let (digits, factor) = unit.unwrap_or((value, 1));
    let (sign, digits) = digits.strip_prefix('-').map_or((1, digits), |digits| (-1, digits));
    let number = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => digits.parse::<u64>().ok()?,
    };
    Some(sign * i128::from(number) * factor)
}

/// A glob pattern as LIKE has it, or as a regular expression.
fn pattern(column: &str, not: &str, glob: &str) -> Result<String, String> {
    let quoted = |text: &str| text.replace('\'', "''");
    let is_simple = !glob.contains(['[', ']', '{', '}', '\\']) && !glob.contains("**");
    if is_simple {
        let mut like = String::new();
        for c in glob.chars() {
            match c {
                '*' => like.push('%'),
                '?' => like.push('_'),
                '%' | '_' => like.extend(['\\', c]),
                c => like.push(c),
            }
        }
        let escape = if like.contains('\\') { " ESCAPE '\\'" } else { "" };
        return Ok(format!("{column} {not}LIKE '{}'{escape}", quoted(&like)));
    }
    let regex = GlobBuilder::new(glob).literal_separator(false).build().ok();
    let regex =
        regex.filter(|_| glob.is_ascii()).and_then(|glob| glob.regex().strip_prefix("(?-u)").map(str::to_string));
    let regex = regex.ok_or_else(|| format!("the pattern {glob} has no form in SQL"))?;
    let not = if not.is_empty() { "" } else { "!" };
    Ok(format!("{column} {not}~ '(?s){}'", quoted(&regex)))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(&'static str),
}

impl Token {
    fn into_text(self) -> String {
        match self {
            Token::Word(text) | Token::Quoted(text) => text,
            Token::Sign(sign) => sign.into(),
        }
    }
}

fn split(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => (Token::Sign(sign), sign.len()),
            None if first == '"' || first == '\'' => quoted(rest, first),
            None => {
                let ends = |c: char| c.is_whitespace() || "\"'()=<>~".contains(c);
                let length = rest.find(ends).unwrap_or(rest.len());
                let (word, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
                let is_not = behind.starts_with(['=', '~']) && word.ends_with('!') && word.len() > 1;
                let word = if is_not { word.trim_end_matches('!') } else { word };
                (Token::Word(word.to_string()), word.len())
            }
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    tokens
}

/// The text between quotes, in which the quote itself is doubled, and the length of all of it.
fn quoted(rest: &str, quote: char) -> (Token, usize) {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        if c != quote {
            text.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            text.push(quote);
        } else {
            return (Token::Quoted(text), index + 1);
        }
    }
    (Token::Quoted(text), rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::expr::Expr;

    fn of(text: &str) -> String {
        Expr::parse(text).unwrap();
        condition(text).unwrap()
    }

    #[test]
    fn words_and_values_become_those_of_sql() {
        assert_eq!(
            of("errno = EPERM and not (pid=42 or bytes>=1M)"),
            "errno = 'EPERM' AND NOT (pid = 42 OR bytes >= 1048576)"
        );
        assert_eq!(of("errno is not null"), "errno IS NOT NULL");
        assert_eq!(of("comm!=\"it's\""), "comm <> 'it''s'");
        assert_eq!(of("flags == 0x10 and toctou = TRUE"), "flags = 16 AND toctou = true");
        assert_eq!(of("dur_ns > 2ms"), "dur_ns > 2000000");
        assert_eq!(of("ts >= 2026-01-02T03:04:05Z"), "ts >= TIMESTAMP '2026-01-02T03:04:05Z'");
    }

    #[test]
    fn patterns_become_like_or_a_regular_expression() {
        assert_eq!(of("comm ~ \"50%_*?\""), "comm LIKE '50\\%\\_%_' ESCAPE '\\'");
        assert_eq!(of("exe !~ */ssh*"), "exe NOT LIKE '%/ssh%'");
        assert_eq!(of("comm ~ [ab]*"), "comm ~ '(?s)^[ab].*$'");
        assert_eq!(of("exe !~ **/ssh"), "exe !~ '(?s)^(?:/?|.*/)ssh$'");
        assert!(condition("comm ~ [é]*").is_err());
    }
}
