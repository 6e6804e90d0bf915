-- The text of a rule's condition. Whether it is one, the API checks before it is saved.
ALTER TABLE rules ADD COLUMN condition TEXT;
