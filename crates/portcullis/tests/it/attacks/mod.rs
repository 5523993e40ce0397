//! What attackers try, by what it is aimed at. The numbers are those of the catalogue of attacks.

mod audience;
mod passthrough;
mod credentials;
mod signature;
mod issuer;
mod keys;
mod lifetime;
mod scope;
mod policy;
mod session;
mod lifecycle;
mod processes;
mod stream;
mod mirror;
mod parser;
mod rebinding;
mod tls;
mod quota;
mod record;
mod tamper;
mod faults;
mod eras;
