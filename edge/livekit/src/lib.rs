//! Rooms on LiveKit's wire, so that its SDKs are our clients: signalling, server API and data. Translates, decides
//! nothing.
