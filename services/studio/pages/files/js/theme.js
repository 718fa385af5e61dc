// Sets the colour scheme before anything is drawn. `auto` follows the system.
(() => {
  let theme = null;
  try { theme = localStorage.getItem("i2v-theme"); } catch { /* storage is off */ }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
