// Glovebox
