// The page's entry.
import './style.css';

document.getElementById('app')!.textContent = 'Softphone';
