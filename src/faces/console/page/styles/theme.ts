const STORED = 'tidemark.theme';
export type Theme = 'auto' | 'light' | 'dark';

/** What was chosen; auto: as the system has it. */
export const themeOf = (): Theme => (localStorage.getItem(STORED) as Theme | null) ?? 'auto';

/** Shows the page light or dark, and remembers it. */
export function chooseTheme(theme: Theme): void {
  localStorage.setItem(STORED, theme);
  applyTheme();
}

/** What was chosen before, or as the system has it. */
export function applyTheme(): void {
  const theme = themeOf();
  document.documentElement.style.colorScheme = theme === 'auto' ? 'light dark' : theme;
}
