//! Portcullis decides here, and touches nothing: no I/O, no clock, no randomness; they are arguments.
//!
//! The rooms stand in the order in which an exchange walks through them. Each takes the proof of
//! the one before it by value, and only that room can make its own.
#![forbid(unsafe_code)]

pub mod authenticate;
pub mod session;
pub mod protocol;
pub mod quota;
pub mod authorize;
pub mod catalog;
pub mod inspect;
pub mod route;
pub mod credentials;

pub mod signals;
pub mod egress;
pub mod scim;
pub mod misuse;
pub mod alert;
pub mod elicit;
pub mod sign_in;
pub mod openid;
pub mod review;
pub mod operate;

pub mod pipeline;
pub mod points;
pub mod refusal;
pub mod secret;
pub mod time;

mod unveil;

mod hashed;
mod rules;
mod trail;
mod hexadecimal;
