import { useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { Shell } from './components/shell';
import { SignIn } from './components/sign-in';
import { TextsContext } from './i18n/context';
import { CATALOGUES, initialLanguage, rememberLanguage, type Language } from './i18n/language';
import type { Identity } from './identity/identity';

export interface AppProps {
  readonly identity: Identity;
  readonly locks: LockManager | undefined;
}

/** The root: which language, and who is signed in. */
export function App({ identity, locks }: AppProps) {
  const [language, setLanguage] = useState(() => initialLanguage(localStorage, navigator.languages));
  const user = useSyncExternalStore(identity.user.subscribe, identity.user.get);
  const texts = useMemo(() => {
    const choose = (chosen: Language) => {
      rememberLanguage(localStorage, chosen);
      setLanguage(chosen);
    };
    return { language, t: CATALOGUES[language], choose };
  }, [language]);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  return (
    <TextsContext value={texts}>
      {user ? (
        <Shell key={user.user_id} user={user} identity={identity} locks={locks} />
      ) : (
        <SignIn identity={identity} />
      )}
    </TextsContext>
  );
}
