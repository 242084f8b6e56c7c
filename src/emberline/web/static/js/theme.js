// Sets the remembered colours before the page is painted; a classic script, since modules come after the first paint.
try {
  const theme = localStorage.getItem("emberline-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* no storage: the system's colours */ }
