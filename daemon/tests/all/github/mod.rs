//! The GitHub client against a GitHub that answers as it is told, and git against one that demands a token.

mod answers;
mod fetch;
mod scripted;
mod tokens;
