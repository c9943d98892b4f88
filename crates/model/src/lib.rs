//! A scripted model server: speaks the four wire protocols of language model providers on loopback, so that real agent
//! programs can be driven without a model.
//!
//! ```text
//! oarlock-model --port 0 --port-file P [--script FILE] [--log L.jsonl]      # or Server::start in a test
//! ```
//!
//! | path | protocol |
//! |---|---|
//! | `POST /v1/messages`, `…/count_tokens` | Anthropic Messages |
//! | `POST [/v1]/responses` | OpenAI Responses |
//! | `POST [/v1]/chat/completions` | OpenAI Chat Completions |
//! | `POST /v1beta/models/M:generateContent`, `:streamGenerateContent`, `:countTokens` | Gemini |
//! | `GET …/models` | lists of models |
//! | `GET /__state` | what was seen, as [`Seen`] |
//! | `POST /__release/GATE` | lets answers go on that are held at a gate |
//!
//! **Which answer.** A prompt that holds `[[play:NAME]]` begins the scenario NAME of the [`Script`]; words after the
//! name, `[[play:commit file=tea.txt]]`, are put in for `{file}`. The step is the number of answers in the request's own
//! history since then, so the server remembers nothing of a conversation: retries, resumed conversations and agents side
//! by side do not disturb each other. A request that offers no tools comes from a maker of titles or the like, and gets
//! the script's aside.
//!
//! **Tools.** A script calls `write`, `shell`, `read` and `ask`; [`tools`] maps these onto what the agent offers.
//!
//! **Exactly once.** A text between `[[msg:ID]]` and `[[end:ID]]` in a user's message is measured: [`Seen::marks`] tells
//! how often it stood in one conversation, its length, and its SHA-256.
//!
//! [`drive`] tells what an agent program must find around itself to come here.
//!
//!
//! Dev only. It must not be used by anything that ships, and it must know nothing of oarlock.

pub mod choice;
pub mod desk;
pub mod dialog;
pub mod drive;
pub mod script;
pub mod seen;
pub mod server;
pub mod tools;
pub mod wire;

pub use script::Script;
pub use seen::Seen;
pub use server::Server;
