import { createRoot } from 'react-dom/client';
import { App } from './app';
import { Identity, locked } from './identity/identity';
import { RefreshStore } from './identity/refresh-store';
import './styles/base.css';
import './styles/shell.css';
import './styles/phone.css';
import './styles/history.css';

const locks = navigator.locks as LockManager | undefined;
const identity = new Identity(new RefreshStore(localStorage), (url, init) => fetch(url, init), locked(locks));
addEventListener('storage', () => identity.followStore());

const root = document.getElementById('root');
if (root) createRoot(root).render(<App identity={identity} locks={locks} />);
