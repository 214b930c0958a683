//! How deep an expression may be.
//!
//! The engine names and compares each part of an expression by its whole text, again and again. So `a + a + a ...` takes time by the
//! square of its length, and a statement of the longest length would take minutes before it runs.

use std::ops::ControlFlow;

use datafusion::common::{Result, plan_err};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Visit, Visitor};

/// Expressions that may be one inside the other. `a + b + c` has `a + b` inside.
const MOST: usize = 256;

/// Refuses a statement with a deeper one.
///
/// # Errors
/// One sentence with the remedy.
pub fn check(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Statement(sql) => match sql.visit(&mut Depth(0)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => plan_err!(
                "an expression has more than {MOST} operators one after another: write x IN (1, 2, ...) instead of many ORs, sum(x) \
                 over rows instead of many +, or put some of them in parentheses"
            ),
        },
        Statement::Explain(explain) => check(&explain.statement),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => Ok(()),
    }
}

/// How many expressions are around the one that is visited.
struct Depth(usize);

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.0 += 1;
        if self.0 > MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.0 -= 1;
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use super::*;

    fn is_taken(sql: &str) -> bool {
        DFParser::parse_sql(sql).unwrap().iter().all(|statement| check(statement).is_ok())
    }

    #[test]
    fn chains_are_bounded_and_lists_are_not() {
        let chain = |number: usize| vec!["a"; number].join(" + ");
        assert!(is_taken(&format!("SELECT {}", chain(MOST))));
        for deep in [format!("SELECT {}", chain(MOST + 1)), format!("EXPLAIN SELECT a FROM t WHERE {} > 1", chain(500))]
        {
            assert!(!is_taken(&deep), "{deep}");
        }
        let half = format!("({})", chain(MOST / 2));
        assert!(is_taken(&format!("SELECT {half} + {half} + {half}")));
        assert!(is_taken(&format!("SELECT a FROM t WHERE a IN ({})", vec!["1"; 5_000].join(", "))));
    }
}
