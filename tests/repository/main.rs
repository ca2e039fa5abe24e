//! The repository's own rules: what its pages claim is so, and its parts know only whom they may.

mod anatomy;
