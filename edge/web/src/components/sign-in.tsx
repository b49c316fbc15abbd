import { useState, type FormEvent } from 'react';
import { Problem } from '../api/problem';
import { useTexts } from '../i18n/context';
import { problemSentence } from '../i18n/sentences';
import type { Identity } from '../identity/identity';
import { Brand } from './brand';
import { LanguageSwitch } from './language-switch';

export function SignIn({ identity }: { readonly identity: Identity }) {
  const { t } = useTexts();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setProblem(null);
    try {
      await identity.signIn(String(form.get('username')).trim(), String(form.get('password')));
    } catch (thrown) {
      setProblem(Problem.of(thrown));
      setBusy(false);
    }
  }

  return (
    <main className="sign-in">
      <form className="card" onSubmit={(event) => void submit(event)} aria-labelledby="sign-in-title">
        <Brand />
        <h1 id="sign-in-title">{t.signIn.title}</h1>
        <p className="muted">{t.signIn.lead}</p>
        <label className="field">
          {t.signIn.name}
          <input
            name="username"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            required
            autoFocus
            data-testid="sign-in-name"
          />
        </label>
        <label className="field">
          {t.signIn.password}
          <input
            name="password"
            type="password"
            autoComplete="current-password"
            required
            data-testid="sign-in-password"
          />
        </label>
        <p className="problem" role="alert">
          {problem && problemSentence(t, problem)}
        </p>
        <button type="submit" className="button primary" disabled={busy} data-testid="sign-in-submit">
          {busy ? t.signIn.busy : t.signIn.submit}
        </button>
      </form>
      <LanguageSwitch />
    </main>
  );
}
