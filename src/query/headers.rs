//! The names of columns of a result: what was written, and each once.
//!
//! The engine names a computed column by its plan: `sum(events.bytes)`, `events.pid + Int64(1)`. Here a column without AS
//! is named by its expression as it was written, on one line and with keywords in capitals, in subqueries and views, too. Of columns
//! with one name, the second gets `_1`, the third `_2`: a JSON object or a Parquet file has each name once.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut,
};

/// Names the computed columns of a statement.
pub fn name(statement: &mut Statement) {
    match statement {
        Statement::Statement(sql) => {
            // It never breaks off.
            let _ = sql.visit(&mut Namer);
        }
        Statement::Explain(explain) => name(&mut explain.statement),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => {}
    }
}

struct Namer;

impl VisitorMut for Namer {
    type Break = ();

    /// What DISTINCT leaves has an order by its columns alone, so by the name that such an expression gets.
    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Query { body, order_by: Some(OrderBy { kind: OrderByKind::Expressions(order), .. }), .. } = query else {
            return ControlFlow::Continue(());
        };
        if let SetExpr::Select(select) = body.as_mut()
            && select.distinct.is_some()
        {
            let named = name_items(select);
            // A plain name means the column that has it.
            for by in order.iter_mut().filter(|by| column(&by.expr).is_none()) {
                if let Some((_, alias)) = named.iter().find(|(expr, _)| *expr == by.expr) {
                    by.expr = Expr::Identifier(alias.clone());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Before the subqueries in it are named: a name has their text as it was written.
    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        name_items(select);
        ControlFlow::Continue(())
    }
}

/// Names the columns of `select` that have no name; returns them and their names.
fn name_items(select: &mut Select) -> Vec<(Expr, Ident)> {
    let mut names = Names::default();
    names.taken.extend(select.projection.iter().filter_map(given));
    // A number does not make a name of it that a column has which is written further on.
    names.reserved = select.projection.iter().filter_map(plain).collect();
    let mut named = Vec::new();
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let alias = match column(expr) {
            Some(name) if names.taken.insert(name.to_lowercase()) => continue,
            Some(name) => names.free(name),
            // The engine resolves it, and names it by its last part.
            None if matches!(expr, Expr::CompoundIdentifier(_)) => continue,
            None => names.free(&expr.to_string()),
        };
        let alias = Ident::with_quote('"', alias);
        named.push((expr.clone(), alias.clone()));
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
    }
    named
}

/// The name that AS gives.
fn given(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
        _ => None,
    }
}

/// The name of the column that `expr` is, in parentheses or not.
fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Identifier(name) => Some(&name.value),
        Expr::Nested(inner) => column(inner),
        _ => None,
    }
}

/// The name of the column that an item is, which has no other.
fn plain(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => column(expr).map(str::to_lowercase),
        _ => None,
    }
}

/// Names that columns have. Case does not make another one.
#[derive(Debug, Default)]
struct Names {
    taken: HashSet<String>,
    /// Names of columns as they are in their tables.
    reserved: HashSet<String>,
    /// The number that was tried last, by name.
    numbers: HashMap<String, u32>,
}

impl Names {
    /// `name`, or with a number behind it if it is taken: the first one that is not.
    fn free(&mut self, name: &str) -> String {
        let key = name.to_lowercase();
        if !self.reserved.contains(&key) && self.taken.insert(key.clone()) {
            return name.to_string();
        }
        let number = self.numbers.entry(key).or_default();
        loop {
            *number = number.saturating_add(1);
            let numbered = format!("{name}_{number}");
            let key = numbered.to_lowercase();
            if *number == u32::MAX || (!self.reserved.contains(&key) && self.taken.insert(key)) {
                return numbered;
            }
        }
    }
}

/// The schema with each name once. The names of columns that are not renamed stay as they are.
pub fn distinct(schema: &SchemaRef) -> SchemaRef {
    let (mut firsts, mut again) = (HashSet::new(), Vec::new());
    for (index, field) in schema.fields().iter().enumerate() {
        if !firsts.insert(field.name().clone()) {
            again.push(index);
        }
    }
    let mut numbers: HashMap<String, u32> = HashMap::new();
    if again.is_empty() {
        return Arc::clone(schema);
    }
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    for index in again {
        if let Some(field) = fields.get_mut(index) {
            let number = numbers.entry(field.name().clone()).or_default();
            let name = loop {
                *number = number.saturating_add(1);
                let name = format!("{}_{number}", field.name());
                if *number == u32::MAX || firsts.insert(name.clone()) {
                    break name;
                }
            };
            *field = Arc::new(field.as_ref().clone().with_name(name));
        }
    }
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};
    use datafusion::sql::parser::DFParser;

    use super::*;
    use crate::schema::limits::MAX_SQL;

    fn named(sql: &str) -> String {
        let mut statements = DFParser::parse_sql(sql).unwrap();
        statements.iter_mut().for_each(name);
        statements.pop_front().unwrap().to_string()
    }

    #[test]
    fn a_column_is_named_as_it_was_written() {
        for (sql, wanted) in [
            ("SELECT pid, (tid), e.uid, *, a AS b", "SELECT pid, (tid), e.uid, *, a AS b"),
            ("SELECT count( * ),\n sum(bytes)", "SELECT count(*) AS \"count(*)\", sum(bytes) AS \"sum(bytes)\""),
            ("SELECT 1, 1, pid, PID", "SELECT 1 AS \"1\", 1 AS \"1_1\", pid, PID AS \"PID_1\""),
            ("SELECT x + 1, y AS \"x + 1\"", "SELECT x + 1 AS \"x + 1_1\", y AS \"x + 1\""),
            ("SELECT '\"'", "SELECT '\"' AS \"'\"\"'\""),
            (
                "SELECT DISTINCT f(x), y FROM t ORDER BY F (x), f(x) DESC, f(y)",
                "SELECT DISTINCT f(x) AS \"f(x)\", y FROM t ORDER BY F(x), \"f(x)\" DESC, f(y)",
            ),
            ("EXPLAIN SELECT f(x)", "EXPLAIN SELECT f(x) AS \"f(x)\""),
            (
                "WITH w AS (SELECT max(a) FROM t) SELECT (SELECT min(b) FROM u) FROM w",
                "WITH w AS (SELECT max(a) AS \"max(a)\" FROM t) \
                 SELECT (SELECT min(b) AS \"min(b)\" FROM u) AS \"(SELECT min(b) FROM u)\" FROM w",
            ),
        ] {
            assert_eq!(named(sql), wanted);
        }
    }

    /// As long as SQL may be: on the threads that the engine has.
    #[test]
    fn deep_expressions_are_named() {
        let sql = format!("SELECT 1{}", "+1".repeat(MAX_SQL / 2 - 8));
        let thread = std::thread::Builder::new().stack_size(super::super::resources::STACK);
        let length = thread.spawn(move || named(&sql).len()).unwrap().join().unwrap();
        assert!(length > 2 * 65_000, "{length}");
    }

    #[test]
    fn each_name_is_there_once() {
        let fields = ["pid", "n", "PID", "pid_1", "pid"].map(|name| Field::new(name, DataType::Int32, true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let names: Vec<_> = distinct(&schema).fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["pid", "n", "PID", "pid_1", "pid_2"]);
    }
}
