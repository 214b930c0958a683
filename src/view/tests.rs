//! Every screen, drawn without a terminal. What is expected is read from the capture by the reader of `replay`.

mod asks;
mod lists;
mod panes;
mod stage;
mod strangers;
