//! Which backends answer at which nodes, as a table, and the pattern of it in words.

use std::{collections::BTreeSet, fmt::Write as _};

use netlab::doctor::reach::{Cell, Reach};

use super::paint::Paint;
use crate::cmd::output;

/// More rows or columns than these are not looked at by anybody.
const MOST_ROWS: usize = 12;
const MOST_COLUMNS: usize = 8;
/// Services of which something fails that are shown.
const MOST_SERVICES: usize = 4;
/// Lines above the rows.
const HEADS: usize = 2;

/// What fails where; empty where nothing does.
pub(super) fn draw(reach: &Reach, paint: Paint) -> String {
    let mut text = String::new();
    let failing = reach.failing();
    if failing.is_empty() {
        return text;
    }
    if let Some(pattern) = reach.pattern() {
        let line = output::wrapped(&format!("{pattern}."), paint.width - 2, "  ");
        let _ = writeln!(text, "  {}", paint.strong(&capital(&line)));
    }
    for service in failing.iter().take(MOST_SERVICES) {
        let cells: Vec<_> = reach.cells.iter().filter(|cell| cell.service == **service).collect();
        text.push_str(&table(service, &cells, paint));
    }
    if let Some(more) = failing.len().checked_sub(MOST_SERVICES).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more Services");
    }
    text
}

/// Nodes by backends of one Service.
fn table(service: &str, cells: &[&Cell], paint: Paint) -> String {
    let columns = columns(cells);
    let port = |cell: &Cell| format!("{} {}", cell.protocol, cell.dialled.port());
    let mut ports: Vec<String> = cells.iter().map(|cell| port(cell)).collect();
    ports.dedup();
    // One port is in the head, several are told row by row.
    let head = if let [port] = ports.as_slice() { format!(" {port}") } else { String::new() };
    let label = |cell: &Cell| match head.as_str() {
        "" => format!("{} {} {}", cell.node, cell.dialled.ip(), port(cell)),
        _ => format!("{} {}", cell.node, cell.dialled.ip()),
    };
    let mut rows: Vec<String> = Vec::new();
    for cell in cells {
        let row = label(cell);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let service = if service.is_empty() { "dialled" } else { service };
    let heads: [String; HEADS] = [format!("{service}{head}"), String::new()];
    let mut grid: Vec<Vec<String>> = heads.map(|head| vec![head]).into();
    grid[0].extend(columns.iter().map(|column| column.title.clone()));
    grid[1].extend(columns.iter().map(|column| format!("on {}", column.home)));
    for row in rows.iter().take(MOST_ROWS) {
        let of_row: Vec<&Cell> = cells.iter().filter(|cell| label(cell) == *row).copied().collect();
        let mut line = vec![row.clone()];
        line.extend(columns.iter().map(|column| column.says(&of_row)));
        grid.push(line);
    }
    let mut text = drawn(&grid, paint);
    if let Some(more) = rows.len().checked_sub(MOST_ROWS).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more addresses");
    }
    text
}

/// A backend, or all of a node where there are many.
struct Column {
    title: String,
    home: String,
    backends: BTreeSet<String>,
}

impl Column {
    fn says(&self, row: &[&Cell]) -> String {
        let own: Vec<_> = row.iter().filter(|cell| self.backends.contains(&cell.backend)).collect();
        let count = |works| own.iter().filter(|cell| cell.works == works).count();
        let (good, bad) = (count(Some(true)), count(Some(false)));
        match (good, bad) {
            (0, 0) if own.is_empty() => "-".to_owned(),
            (0, 0) => "?".to_owned(),
            (_, 0) => "ok".to_owned(),
            (0, _) if own.iter().any(|cell| cell.stalls) => "STALLS".to_owned(),
            (0, _) => "FAILS".to_owned(),
            (good, bad) => format!("{bad} of {} FAIL", good + bad),
        }
    }
}

fn columns(cells: &[&Cell]) -> Vec<Column> {
    let mut backends: Vec<(String, Option<&String>)> = Vec::new();
    for cell in cells {
        let backend = (cell.backend.clone(), cell.home.as_ref());
        if !backends.contains(&backend) {
            backends.push(backend);
        }
    }
    backends.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    if backends.len() <= MOST_COLUMNS {
        let column = |(backend, home): (String, Option<&String>)| Column {
            title: backend.clone(),
            home: home.map_or("?", String::as_str).to_owned(),
            backends: [backend].into(),
        };
        return backends.into_iter().map(column).collect();
    }
    let mut columns: Vec<Column> = Vec::new();
    for (backend, home) in backends {
        let home = home.map_or("?", String::as_str).to_owned();
        match columns.iter_mut().find(|column| column.home == home) {
            Some(column) => _ = column.backends.insert(backend),
            None => {
                let backends = [backend].into();
                columns.push(Column { title: "all pods".to_owned(), home, backends });
            }
        }
    }
    columns
}

/// The grid, in parts below each other where it is wider than the terminal.
fn drawn(grid: &[Vec<String>], paint: Paint) -> String {
    let wide = |column: usize| grid.iter().filter_map(|row| row.get(column)).map(String::len).max();
    let label = wide(0).unwrap_or(0) + 2;
    let count = grid.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    let mut from = 1;
    while from < count || text.is_empty() {
        let mut used = label;
        let fits = |column: &usize| {
            used += wide(*column).unwrap_or(0) + 2;
            used <= paint.width || *column == from
        };
        let to = from + (from..count).take_while(fits).count();
        let part = |row: &Vec<String>| {
            let label = row.first().cloned();
            let own = row.get(from..to.min(row.len())).unwrap_or_default();
            label.into_iter().chain(own.iter().cloned()).collect()
        };
        text.push_str(&part_drawn(&grid.iter().map(part).collect::<Vec<_>>(), paint));
        from = to.max(from + 1);
    }
    text
}

fn part_drawn(grid: &[Vec<String>], paint: Paint) -> String {
    let wide = |column: usize| grid.iter().filter_map(|row| row.get(column)).map(String::len).max();
    let mut text = String::new();
    for (at, row) in grid.iter().enumerate() {
        text.push_str("  ");
        for (column, word) in row.iter().enumerate() {
            let padding = " ".repeat((wide(column).unwrap_or(0)).saturating_sub(word.len()) + 2);
            let is_last = column + 1 == row.len();
            let painted = match word.as_str() {
                _ if at < HEADS || column == 0 => paint.faint(word),
                "ok" => paint.good(word),
                "?" | "-" => word.clone(),
                _ => paint.bad(word),
            };
            let _ = write!(text, "{painted}{}", if is_last { "" } else { &padding });
        }
        text.push('\n');
    }
    text
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_too_wide_goes_on_below() {
        let row = |words: [&str; 4]| words.map(str::to_owned).to_vec();
        let grid = [
            row(["svc", "web-1", "web-2", "web-3"]),
            row(["", "on a", "on a", "on b"]),
            row(["a 10.0.0.1", "ok", "FAILS", "?"]),
        ];
        let text = drawn(&grid, Paint { color: false, width: 28 });
        let wanted = "  svc         web-1  web-2\n              on a   on a\n  \
                      a 10.0.0.1  ok     FAILS\n  svc         web-3\n              on b\n  \
                      a 10.0.0.1  ?\n";
        assert_eq!(text, wanted);
        let whole = drawn(&grid, Paint { color: false, width: 100 });
        assert_eq!(whole.lines().count(), grid.len());
    }
}
