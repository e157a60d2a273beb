"""What an editor shows of the word under the cursor: keys, values, classes, references, files, results."""
