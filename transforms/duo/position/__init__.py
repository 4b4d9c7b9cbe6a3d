"""Where reading stands and goes on: windows, pages, overlap, gaps. Pure rules over values."""
