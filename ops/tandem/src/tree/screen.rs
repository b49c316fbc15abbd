//! What the live tree shows, and what keys do to it. Reads no clock and no terminal.

use std::collections::HashMap;
use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row as Cells, Table, Wrap};
use tandem_actors::tree::PartView;

use super::outline::{Row, filtered, outline, summary};
use super::{HEAD, cells};

/// How long a restart stands out.
const FRESH: Duration = Duration::from_secs(5);

const WIDTHS: [Constraint; 6] = [
    Constraint::Min(30),
    Constraint::Length(10),
    Constraint::Length(12),
    Constraint::Length(7),
    Constraint::Length(8),
    Constraint::Length(5),
];

/// See the module.
#[derive(Default)]
pub(super) struct Screen {
    parts: Vec<PartView>,
    rows: Vec<Row>,
    /// Restarts of each part, and when they were last seen to rise.
    restarts: HashMap<String, (u32, Option<Duration>)>,
    /// When the tree came.
    at: Duration,
    /// Why there is no newer one.
    trouble: Option<String>,
    filter: String,
    is_typing: bool,
    top: usize,
    /// Rows that fit.
    height: usize,
}

impl Screen {
    /// Takes what the node answered at a time since the start.
    pub(super) fn take(&mut self, at: Duration, answer: Result<Vec<PartView>, String>) {
        match answer {
            Ok(parts) => {
                (self.at, self.trouble) = (at, None);
                self.note_restarts(&parts);
                self.parts = parts;
                self.arrange();
            }
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    fn note_restarts(&mut self, parts: &[PartView]) {
        let (mut before, at) = (std::mem::take(&mut self.restarts), self.at);
        let seen = parts.iter().map(|part| {
            let known = before.remove(&part.id);
            let risen = match known {
                Some((restarts, _)) if part.restarts > restarts => Some(at),
                Some((_, risen)) => risen,
                None => None,
            };
            (part.id.clone(), (part.restarts, risen))
        });
        self.restarts = seen.collect();
    }

    fn arrange(&mut self) {
        let rows = outline(self.parts.clone());
        self.rows = if self.filter.is_empty() { rows } else { filtered(rows, &self.filter) };
        self.scroll_to(self.top);
    }

    /// Does what a key means. Whether to go on.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return false;
        }
        if self.is_typing {
            self.type_filter(key.code);
            return true;
        }
        match key.code {
            KeyCode::Char('q') => return false,
            KeyCode::Char('f' | '/') => self.is_typing = true,
            KeyCode::Esc => self.set_filter(String::new()),
            KeyCode::Down | KeyCode::Char('j') => self.scroll_to(self.top + 1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll_to(self.top.saturating_sub(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll_to(self.top + self.height),
            KeyCode::PageUp => self.scroll_to(self.top.saturating_sub(self.height)),
            KeyCode::Home => self.scroll_to(0),
            KeyCode::End => self.scroll_to(usize::MAX),
            _ => {}
        }
        true
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.set_filter(String::new());
            }
            KeyCode::Backspace => {
                let mut shorter = self.filter.clone();
                shorter.pop();
                self.set_filter(shorter);
            }
            KeyCode::Char(more) => self.set_filter(format!("{}{more}", self.filter)),
            _ => {}
        }
    }

    fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.top = 0;
        self.arrange();
    }

    fn scroll_to(&mut self, top: usize) {
        self.top = top.min(self.rows.len().saturating_sub(self.height.max(1)));
    }

    /// Draws what fits.
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
        self.height = usize::from(body.height.saturating_sub(1));
        self.scroll_to(self.top);
        frame.render_widget(Paragraph::new(self.head()).wrap(Wrap { trim: true }), head);
        self.draw_rows(frame, body);
        frame.render_widget(self.foot(), foot);
    }

    fn head(&self) -> String {
        let fresh = self.parts.iter().filter(|part| self.is_fresh(part)).count();
        let fresh = if fresh > 0 { format!(" ({fresh} started again just now)") } else { String::new() };
        format!("{}{fresh}", summary(&self.parts))
    }

    fn draw_rows(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.rows.iter().skip(self.top).take(self.height).map(|row| {
            let is_fresh = self.is_fresh(&row.part);
            let mut cells = cells(row);
            if is_fresh && let [.., restarts, _] = &mut cells {
                restarts.push_str(" <<");
            }
            let style = match row.part.state.as_str() {
                _ if is_fresh => Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD),
                "waiting" | "given up" => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
                _ => Style::new(),
            };
            Cells::new(cells).style(style)
        });
        let head = Cells::new(HEAD).style(Style::new().add_modifier(Modifier::DIM));
        frame.render_widget(Table::new(rows, WIDTHS).header(head), area);
    }

    fn foot(&self) -> Line<'_> {
        if let Some(trouble) = &self.trouble {
            return Line::styled(format!("no answer, still trying: {trouble}"), Style::new().fg(Color::Red));
        }
        if self.is_typing {
            return Line::raw(format!("filter: {}_   Enter keeps it · Esc clears it", self.filter));
        }
        let (last, all) = ((self.top + self.height).min(self.rows.len()), self.rows.len());
        let filter = if self.filter.is_empty() { String::new() } else { format!("filter {:?} · ", self.filter) };
        let first = (self.top + 1).min(last);
        Line::raw(format!("{first}–{last} of {all} · {filter}q quit · ↑ ↓ PgUp PgDn Home End scroll · f or / filter"))
    }

    fn is_fresh(&self, part: &PartView) -> bool {
        let risen = self.restarts.get(&part.id).and_then(|(_, risen)| *risen);
        risen.is_some_and(|risen| self.at.saturating_sub(risen) < FRESH)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use tandem_actors::tree::Kind;

    use super::super::outline::tests::{part, small};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn press(screen: &mut Screen, code: KeyCode) -> bool {
        screen.press(code.into())
    }

    fn drawn(screen: &mut Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(100, 10)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| (0..100).filter_map(|x| buffer.cell((x, y))).map(|cell| cell.symbol()).collect::<String>();
        (0..10).map(|y| line(y).trim_end().to_owned() + "\n").collect()
    }

    fn with_calls(calls: usize) -> Screen {
        let call = |n| part(&format!("call_{n}"), Kind::Call, Some("calls.0/supervisor"), None);
        let mut screen = Screen::default();
        screen.take(SECOND, Ok(small().into_iter().take(5).chain((0..calls).map(call)).collect()));
        drawn(&mut screen);
        screen
    }

    #[test]
    fn a_restart_stands_out_for_some_seconds() {
        let mut screen = Screen::default();
        let mut parts = small();
        screen.take(SECOND, Ok(parts.clone()));
        assert!(!drawn(&mut screen).contains("<<"), "what was before we looked is no news");
        parts.iter_mut().filter(|part| part.id == "edges/sip.0").for_each(|part| part.restarts += 1);
        screen.take(2 * SECOND, Ok(parts.clone()));
        let text = drawn(&mut screen);
        assert!(text.lines().any(|line| line.contains("edges/sip.0") && line.contains("4 <<")), "{text}");
        assert!(text.replace('\n', " ").contains("4 restarts (1 started again just now)"), "{text}");
        screen.take(7 * SECOND, Ok(parts));
        assert!(!drawn(&mut screen).contains("<<"));
    }

    #[test]
    fn thousands_of_calls_are_scrolled_and_never_past_the_end() {
        let mut screen = with_calls(2_500);
        press(&mut screen, KeyCode::End);
        let text = drawn(&mut screen);
        assert!(text.contains("2499–2505 of 2505") || text.contains("2500–2505 of 2505"), "{text}");
        press(&mut screen, KeyCode::PageDown);
        assert_eq!(drawn(&mut screen), text);
        press(&mut screen, KeyCode::Home);
        assert!(drawn(&mut screen).contains("\nnode "));
        assert!(press(&mut screen, KeyCode::Up) && !press(&mut screen, KeyCode::Char('q')));
    }

    #[test]
    fn a_filter_is_typed_kept_and_cleared_and_q_is_a_letter_in_it() {
        let mut screen = with_calls(30);
        press(&mut screen, KeyCode::Char('/'));
        "sipq".chars().for_each(|char| assert!(press(&mut screen, KeyCode::Char(char))));
        press(&mut screen, KeyCode::Backspace);
        press(&mut screen, KeyCode::Enter);
        let text = drawn(&mut screen);
        assert!(text.contains("1–3 of 3 · filter \"sip\""), "{text}");
        assert!(!text.contains("call_7"), "{text}");
        press(&mut screen, KeyCode::Esc);
        assert!(drawn(&mut screen).contains("of 35"));
    }

    #[test]
    fn a_node_that_does_not_answer_leaves_what_was_known_on_the_screen() {
        let mut screen = with_calls(1);
        screen.take(2 * SECOND, Err(String::from("no node")));
        let text = drawn(&mut screen);
        assert!(text.contains("edges/sip.0") && text.contains("still trying: no node"), "{text}");
        screen.take(3 * SECOND, Ok(Vec::new()));
        assert!(drawn(&mut screen).contains("0 restarts"));
    }
}
