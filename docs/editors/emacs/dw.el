;;; dw.el --- Diffusion workflows in Emacs, on eglot -*- lexical-binding: t -*-

;; Package-Requires: ((emacs "28.1") (eglot "1.9"))

;;; Commentary:

;; (add-to-list 'load-path "/path/to/docs/editors/emacs")
;; (require 'dw)
;;
;; Files named *.dw.json and *.dw.jsonc open in `dw-mode', which starts eglot.  `dw-run' (C-c C-r) runs the buffer as it
;; is, `dw-run-to-here' (C-c C-h) up to the step at point, `dw-cancel' (C-c C-k) cancels.  `dw-result' (C-c C-o) shows
;; what was made, `dw-memory' (C-c C-m) what is in memory.  Emacs has no code lenses for eglot: these commands do it all.

;;; Code:

(require 'eglot)
(require 'js)
(require 'seq)

(defgroup dw nil "Diffusion workflows." :group 'tools)

(defcustom dw-server-command '("dw-lsp")
  "Program and arguments that start the server."
  :type '(repeat string))

(defvar dw-memory nil "The last memory report.")
(defvar dw-finished nil "How the last run ended.")
(defvar dw-progress nil "Where the run is; nil when none is at work.")
(defvar dw-worker nil "The last state of the worker.")

;;;###autoload
(define-derived-mode dw-mode js-mode "Workflow"
  "Diffusion workflows: JSON with comments, understood by a language server."
  (setq-local comment-start "// " comment-end "")
  (setq mode-line-process '(:eval (dw-mode-line)))
  (eglot-ensure))

(define-key dw-mode-map (kbd "C-c C-r") #'dw-run)
(define-key dw-mode-map (kbd "C-c C-h") #'dw-run-to-here)
(define-key dw-mode-map (kbd "C-c C-k") #'dw-cancel)
(define-key dw-mode-map (kbd "C-c C-o") #'dw-result)
(define-key dw-mode-map (kbd "C-c C-m") #'dw-memory)

;;;###autoload
(add-to-list 'auto-mode-alist '("\\.dw\\.jsonc?\\'" . dw-mode))
(add-to-list 'eglot-server-programs (cons '(dw-mode :language-id "dw-workflow") (lambda (&rest _) dw-server-command)))

;;; What the server tells

(defun dw--changed () "Show what has changed." (force-mode-line-update t))

(cl-defmethod eglot-handle-notification (_server (_method (eql dw/runStarted)) &key workflow &allow-other-keys)
  (setq dw-progress (format "%s: starting" workflow))
  (dw--changed))

(cl-defmethod eglot-handle-notification
  (_server (_method (eql dw/runProgress)) &key step phase current total &allow-other-keys)
  (setq dw-progress (concat (format "%s: %s" step phase) (when total (format " %s/%s" (or current 0) total))))
  (dw--changed))

(cl-defmethod eglot-handle-notification (_server (_method (eql dw/runFinished)) &rest run)
  (setq dw-progress nil dw-finished run)
  (let ((problem (plist-get run :error)))
    (message "dw: %s after %.1f s%s" (plist-get run :outcome) (plist-get run :seconds)
             (if problem (concat ": " (plist-get problem :message)) "")))
  (dw--changed))

(cl-defmethod eglot-handle-notification (_server (_method (eql dw/memory)) &rest report)
  (setq dw-memory report)
  (dw--changed))

(cl-defmethod eglot-handle-notification (_server (_method (eql dw/workerState)) &rest worker)
  (setq dw-worker worker)
  (when (equal (plist-get worker :state) "crashed")
    (message "dw: the worker ended: %s" (plist-get (plist-get worker :exit) :reason)))
  (dw--changed))

(cl-defmethod eglot-handle-notification (_server (_method (eql dw/log)) &key level message &allow-other-keys)
  (with-current-buffer (get-buffer-create "*dw log*")
    (goto-char (point-max))
    (insert (format "[%s] %s\n" level message))))

;; Known, and of no use in a terminal.
(cl-defmethod eglot-handle-notification (_server (_method (eql dw/preview)) &rest _))
(cl-defmethod eglot-handle-notification (_server (_method (eql dw/stepFinished)) &rest _))

(defun dw--gigabytes (bytes) "BYTES in GB." (format "%.1f" (/ bytes 1e9)))

(defun dw-mode-line ()
  "Progress and memory, for the mode line."
  (let* ((host (equal (plist-get dw-memory :device) "cpu"))
         (used (plist-get dw-memory (if host :processBytes :reservedBytes)))
         (total (plist-get dw-memory :totalBytes)))
    (concat (when dw-progress (concat " " dw-progress))
            (when (and used total)
              (format " %s %s/%s GB" (if host "CPU" "GPU") (dw--gigabytes used) (dw--gigabytes total))))))

;;; Commands

(defun dw--execute (command &optional argument)
  "Have the server carry out COMMAND with ARGUMENT, and return its answer."
  (jsonrpc-request (eglot--current-server-or-lose) :workspace/executeCommand
                   `(:command ,command :arguments ,(if argument (vector argument) []))))

(defun dw--uri () "The URI of this buffer." (plist-get (eglot--TextDocumentIdentifier) :uri))

(defun dw--outline (name)
  "What stands under NAME (variables or steps) in this workflow."
  (let ((outline (jsonrpc-request (eglot--current-server-or-lose) :textDocument/documentSymbol
                                  (list :textDocument (eglot--TextDocumentIdentifier)))))
    (append (plist-get (seq-find (lambda (symbol) (equal (plist-get symbol :name) name)) outline) :children) nil)))

(defun dw--read-arguments ()
  "Ask for values of variables until none is named; return them as an object."
  (let ((names (mapcar (lambda (symbol) (plist-get symbol :name)) (dw--outline "variables")))
        name arguments)
    (while (not (string-empty-p (setq name (completing-read "Variable (empty: run): " names nil nil))))
      (setq arguments (plist-put arguments (intern (concat ":" name)) (read-string (concat name " = ")))))
    arguments))

(defun dw--run (arguments &optional step)
  "Run this buffer as it is, with ARGUMENTS, up to STEP."
  (eglot--signal-textDocument/didChange)
  (dw--execute "dw.run" (append (list :uri (dw--uri))
                                (when arguments (list :arguments arguments))
                                (when step (list :step step)))))

(defun dw-run (arguments)
  "Run the workflow of this buffer, saved or not.  With a prefix, ask for ARGUMENTS."
  (interactive (list (when current-prefix-arg (dw--read-arguments))))
  (dw--run arguments))

(defun dw-run-to-here ()
  "Run the workflow up to and with the step at point."
  (interactive)
  (let* ((line (1- (line-number-at-pos nil t)))
         (before (seq-filter (lambda (step) (<= (plist-get (plist-get (plist-get step :range) :start) :line) line))
                             (dw--outline "steps"))))
    (unless before (user-error "There is no step at or before point"))
    (dw--run nil (plist-get (car (last before)) :name))))

(defun dw-cancel () "Cancel the run." (interactive) (dw--execute "dw.cancel"))
(defun dw-clear () "Let go of all models." (interactive) (setq dw-memory (dw--execute "dw.clear")))
(defun dw-restart () "Start the worker anew." (interactive) (dw--execute "dw.restart"))

(defun dw-memory ()
  "Show what is in memory."
  (interactive)
  (setq dw-memory (dw--execute "dw.memory"))
  (message "%s\n%s" (string-trim (dw-mode-line))
           (mapconcat (lambda (part) (format "  %s  %s GB" (plist-get part :name) (dw--gigabytes (plist-get part :bytes))))
                      (plist-get dw-memory :components) "\n")))

(defun dw-result ()
  "Show what the last run made."
  (interactive)
  (let ((results (append (plist-get dw-finished :results) nil)))
    (unless results (user-error "No run of this session has made anything yet"))
    (let ((paths (mapcar (lambda (result) (plist-get result :path)) results)))
      (find-file-other-window (if (cdr paths) (completing-read "Result: " paths nil t) (car paths))))))

(provide 'dw)
;;; dw.el ends here
