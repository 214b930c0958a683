//! What the engine says of mistakes in SQL, as one plain sentence with the remedy.
//!
//! Owns the wording. A message that no rule here knows stays as the engine has it, without what is of use to its makers alone.

use super::named;
use super::nearest::{BEGINNINGS, nearest, suggestion};

/// The names that SQL can use.
#[derive(Debug, Default)]
pub struct Known {
    /// Tables and views.
    pub tables: Vec<String>,
    /// Functions of a value, and aggregates.
    pub functions: Vec<String>,
    /// Functions that need OVER.
    pub windows: Vec<String>,
    /// Functions that make tables.
    pub makers: Vec<String>,
}

/// Bytes of a message.
const LONGEST: usize = 8_192;

/// What one kind of message comes to.
type Rule = fn(&str, &str, &Known) -> Option<String>;

/// What stands before a message: where in the engine it came up.
const PREFIXES: [&str; 14] = [
    "Error during planning: ",
    "Execution error: ",
    "SQL error: ",
    "sql parser error: ",
    "ParserError(\"",
    "Schema error: ",
    "Parquet error: ",
    "Arrow error: ",
    "Cast error: ",
    "Parser error: ",
    "External error: ",
    "Internal error: ",
    "Optimizer rule 'optimize_projections' failed\ncaused by\n",
    "This feature is not implemented: ",
];

/// The message `text` about `sql` in plain words. One that quotes a long value is cut.
pub fn plain(text: &str, sql: &str, known: &Known) -> String {
    let end = (0..=text.len().min(LONGEST)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let mut text = text.get(..end).unwrap_or_default();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    let rules: [Rule; 5] = [syntax, names, grouping, values, calls];
    let said = rules.iter().find_map(|rule| rule(text, sql, known));
    said.unwrap_or_else(|| types(&text.replace("datafusion.public.", "")))
}

/// What the parser expected.
fn syntax(text: &str, _sql: &str, _known: &Known) -> Option<String> {
    let (wanted, found) = text.strip_prefix("Expected: ")?.split_once(", found: ")?;
    let (found, place) = found.split_once(" at Line: ").map_or((found, ""), |(found, _)| (found, at(text)));
    let is = |word: &str| found.eq_ignore_ascii_case(word);
    let remedy = match wanted {
        "an SQL statement" => suggestion(found, BEGINNINGS),
        _ if is("ORDER") || is("GROUP") || is("PARTITION") => format!(": did you mean {} BY?", found.to_uppercase()),
        "end of statement" if BEGINNINGS.iter().any(|word| is(word)) => ": a semicolon parts statements".into(),
        _ => String::new(),
    };
    let found = if found == "EOF" { "the end of the SQL" } else { found };
    Some(format!("Expected: {wanted}, found: {found}{remedy}{place}"))
}

/// The end of `text` that says where in the SQL it is.
fn at(text: &str) -> &str {
    text.rfind(" at Line: ").and_then(|at| text.get(at..)).unwrap_or_default()
}

/// Names that are not there.
fn names(text: &str, sql: &str, known: &Known) -> Option<String> {
    if let Some((what, _)) = text.split_once("\nValid fields are ") {
        let name = what.strip_prefix("No field named ").and_then(|rest| rest.strip_suffix('.'));
        let quoted = name.map(|name| format!("\"{}\"", name.trim_matches('"')));
        return Some(match quoted.filter(|quoted| sql.contains(quoted.as_str())) {
            Some(quoted) => format!("{what} Text stands in single quotes: '{}'.", quoted.trim_matches('"')),
            None => format!("{what} DESCRIBE events lists the columns."),
        });
    }
    if text.starts_with("No field named ") && !sql.to_lowercase().contains("from") {
        return Some(format!("{text} FROM is missing, which names a table."));
    }
    if let Some(name) = between(text, "Invalid function '", "'") {
        if known.windows.iter().any(|window| window == name) {
            return Some(format!("{name} is a function of a window: write {name}() OVER (ORDER BY ...)"));
        }
        let near = suggestion(name, known.functions.iter().chain(&known.windows).map(String::as_str));
        return Some(format!("there is no function {name}{near}"));
    }
    if let Some(name) = between(text, "table function '", "' not found") {
        let remedy = match nearest(name, known.makers.iter().map(String::as_str)) {
            Some(near) => format!(": did you mean {near}?"),
            None => ": SQL reads the captures that are named before it, as the table events".into(),
        };
        return Some(format!("there is no table function {name}{remedy}"));
    }
    if let Some(name) = text.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        return Some(table(name.trim_start_matches("datafusion.").trim_start_matches("public."), known));
    }
    if let Some(name) = between(text, "'", "' is not a variable which can be viewed with 'SHOW'") {
        let near = nearest(name, ["tables", "columns", "functions"]);
        let near = near.map_or_else(String::new, |near| format!(": did you mean SHOW {}?", near.to_uppercase()));
        return Some(format!("there is no setting {name}{near}"));
    }
    None
}

/// A table that is not there.
fn table(name: &str, known: &Known) -> String {
    let remedy = if known.tables.is_empty() {
        String::new()
    } else if let Some(near) = nearest(name, known.tables.iter().map(String::as_str)) {
        format!(": did you mean {near}?")
    } else if let Some(near) = named::names().find(|analysis| *analysis == name) {
        format!(": it is an analysis, --named {near} runs it")
    } else if name.contains(['/', '.']) {
        ": SQL reads the captures that are named before it, as the table events".into()
    } else {
        format!(": there are {}", known.tables.join(", "))
    };
    format!("table '{name}' not found{remedy}")
}

/// GROUP BY and what goes with it.
fn grouping(text: &str, sql: &str, _known: &Known) -> Option<String> {
    if text.contains(" must be in GROUP BY or an aggregate function") {
        let column = between(text, "column \"", "\" must appear")?;
        let column = column.rsplit('.').next().unwrap_or(column);
        return Some(format!(
            "column {column} is neither in GROUP BY nor in an aggregate: write GROUP BY {column}, or min({column})"
        ));
    }
    // The engine has no RANGE frames over these types. OVER means RANGE unless it says ROWS.
    if text.contains("Cannot run range queries on datatype: ") || text.contains("Uncomparable values: ") {
        let window = sql.to_lowercase().contains("over");
        return Some(if window {
            "a window has no order by bytes, lists or structures by value: \
             write OVER (... ORDER BY ... ROWS UNBOUNDED PRECEDING)"
                .into()
        } else {
            "lists and structures have no order: compare what is in them, such as local_iov[1]['base']".into()
        });
    }
    let what = text.strip_prefix("DML not supported: ")?;
    Some(format!("{what} would write, which SQL here does not: use -o OUT"))
}

/// Values that are of another type, or none of that type.
fn values(text: &str, _sql: &str, _known: &Known) -> Option<String> {
    if let Some((value, kind)) =
        text.strip_prefix("Cannot cast string '").and_then(|rest| rest.rsplit_once("' to value of "))
    {
        let kind = kind.trim_end_matches(" type");
        let is_number = ["Int", "UInt", "Float", "Decimal"].iter().any(|prefix| kind.starts_with(prefix));
        let what = if is_number { "number" } else { "value" };
        let remedy = "compare numbers with numbers and text with text; TRY_CAST makes null of what is none";
        return Some(format!("'{value}' is no {what} of type {kind}: {remedy}"));
    }
    if let Some(value) = between(text, "Error parsing timestamp from '", "': ") {
        return Some(format!("'{value}' is no timestamp: write it as '2026-11-30T08:52:47Z'"));
    }
    if let Some(pair) = text.strip_prefix("Cannot infer common argument type for comparison operation ") {
        return Some(format!("these types cannot be compared: {}; CAST one side", types(pair)));
    }
    if let Some(pair) = between(text, "Cannot coerce arithmetic expression ", " to valid types") {
        return Some(format!("these types cannot be calculated with: {}; CAST one side", types(pair)));
    }
    if let Some(expression) = text.strip_prefix("Physical plan does not support logical expression ") {
        let is_condition = ["InSubquery(", "Exists(", "SetComparison("].iter().any(|kind| expression.starts_with(kind));
        return Some(match is_condition {
            true => {
                "IN (SELECT ...), EXISTS, ANY and ALL are conditions of WHERE and no values: write them there, or join"
                    .into()
            }
            false => {
                "this expression cannot be calculated where it stands: write a subquery in FROM and join it".into()
            }
        });
    }
    if text == "Divide by zero error" {
        return Some("division by zero: x / nullif(y, 0) is null instead".into());
    }
    if text.starts_with("Dot access not supported") {
        return Some("a dot is for columns of tables: a field is taken as in local_iov[1]['base']".into());
    }
    if let Some(kind) = between(text, "Cannot access field at argument 1: type ", " is not Struct") {
        return Some(match kind.starts_with("List(") {
            true => "a list has no fields: take one of its items first, as in local_iov[1]['base']".into(),
            false => format!("{} has no fields", types(kind)),
        });
    }
    if let Some(field) = between(text, "Field ", " not found in struct") {
        return Some(format!("the structure has no field {field}: DESCRIBE events shows the fields"));
    }
    let (before, report) = text.split_once("regex parse error:")?;
    let what = report.rsplit_once("error: ").map_or(report, |(_, what)| what).trim();
    let before = before.trim_end_matches(": ");
    Some(if before.is_empty() {
        format!("the regular expression is wrong: {what}")
    } else {
        format!("{before}: {what}")
    })
}

/// Functions that are called with other arguments.
fn calls(text: &str, _sql: &str, _known: &Known) -> Option<String> {
    if let Some((_, call)) = text.split_once("it is called ") {
        let call = call.split(". No function").next().unwrap_or(call);
        return Some(format!("the function takes other arguments: {call}"));
    }
    if let Some((what, candidates)) = text.split_once("Candidate functions:") {
        let what = what.split(". No function").next().unwrap_or(what).trim();
        let candidates: Vec<&str> = candidates.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let what = what.replace(" 1 arguments", " 1 argument");
        return Some(types(&format!("{what}: write {}", candidates.join(" or "))));
    }
    if let Some(name) = between(text, "Function '", "' failed to match any signature") {
        let given = text.rsplit_once("(DataType: ").map_or("", |(_, given)| given.trim_end_matches(['.', ')']));
        let given = if given.contains('(') { format!("{given})") } else { given.to_string() };
        return Some(format!("{name} does not take this argument: {}", types(&given)));
    }
    if text.starts_with("Substring without for/from") {
        return Some("substr needs a place to begin: substr(text, 1, 5)".into());
    }
    None
}

/// What stands in `text` between both.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(begin)?.1.split_once(end)?.0)
}

/// The engine's names of types as they are called elsewhere.
fn types(text: &str) -> String {
    let plain = [
        ("Timestamp(µs, \"UTC\")", "timestamp"),
        ("LargeUtf8", "text"),
        ("Utf8View", "text"),
        ("Utf8", "text"),
        ("BinaryView", "bytes"),
        ("non-null ", ""),
    ];
    let text = plain.iter().fold(text.to_string(), |text, (from, to)| text.replace(from, to));
    folded(&folded(&text, "List("), "Struct(")
}

/// The text without what is in the parentheses of a type.
fn folded(text: &str, begin: &str) -> String {
    let name = if begin == "List(" { "list" } else { "structure" };
    let (mut folded, mut left) = (String::new(), text);
    while let Some((before, rest)) = left.split_once(begin) {
        let mut depth = 1_usize;
        let end = rest.char_indices().find(|(_, c)| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        folded.extend([before, name]);
        left = end.and_then(|(at, _)| rest.get(at + 1..)).unwrap_or_default();
    }
    folded + left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_called_what_they_are_elsewhere() {
        let list = "List(non-null Struct(\"base\": non-null UInt64, \"len\": non-null UInt64))";
        assert_eq!(types(&format!("{list} > Int64")), "list > Int64");
        assert_eq!(types(&format!("{list} = {list}")), "list = list");
        assert_eq!(types("Struct(\"a\": List(Utf8)) + Timestamp(µs, \"UTC\")"), "structure + timestamp");
        assert_eq!(types("List("), "list");
    }

    #[test]
    fn a_long_message_is_cut() {
        let said = |text: &str| plain(text, "SELECT 1", &Known::default());
        assert_eq!(said(&"List()".repeat(100_000)), "list".repeat(LONGEST / 6) + "Li");
        assert_eq!(said(&"List(".repeat(100_000)), "list");
        assert!(said(&"é".repeat(100_000)).len() <= LONGEST);
    }

    #[test]
    fn what_no_rule_knows_stays() {
        let said = |text: &str| plain(text, "SELECT 1", &Known::default());
        assert_eq!(said("Arrow error: Cast error: what a pity"), "what a pity");
        assert_eq!(said("No such thing: datafusion.public.x"), "No such thing: x");
        assert_eq!(said(""), "");
    }
}
