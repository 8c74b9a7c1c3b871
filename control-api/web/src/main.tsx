// The page's entry: the softphone, or the setup page at its own address.

import './style.css';
import { render } from 'preact';
import { SessionApi } from './shell/api.ts';
import { Softphone } from './shell/softphone.ts';
import { Phone } from './view/phone.tsx';
import { Setup } from './view/setup.tsx';

const BASE = import.meta.env.BASE_URL;
const root = document.getElementById('app');
// What was to be read without this program.
root?.replaceChildren();

if (root && location.pathname.replace(/\/$/, '').endsWith('/setup')) {
  render(<Setup base={BASE} />, root);
} else if (root) {
  let due = false;
  // Several changes in one turn of the machine are drawn once, after it.
  const draw = (): void => {
    if (due) return;
    due = true;
    queueMicrotask(() => {
      due = false;
      render(<Phone phone={phone} />, root);
    });
  };
  const phone = new Softphone(new SessionApi(BASE, fetch.bind(window)), BASE, draw);
  draw();
  void phone.open();
}
