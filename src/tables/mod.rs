//! What both ends of the tables share: schema and writers over `migrations/`.
